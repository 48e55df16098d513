"""What a real Debezium wrote in JSON with its schema is the same change by the schema of a registry.

In Avro, and in JSON with a JSON Schema, as Connect's converters make them of the same rows.
"""

import io
import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fastavro
import pytest

from shared.catalogue.changes import reading_of
from shared.errors import PoisonError, SkippedError
from shared.records import Partition, Record
from shared.schema_registry.deserializer import BatchSchemas
from shared.schema_registry.readers import reader_of
from shared.schema_registry.registry import RegisteredSchema

SAMPLES = Path(__file__).parents[3] / "data" / "debezium"
TYPES = {"int8": "int", "int16": "int", "int32": "int", "int64": "long", "float": "float", "double": "double"}
KEY, VALUE = 1, 2


def avro(schema, named):
    """Return what Connect's AvroData makes of a Connect schema."""
    kind = schema["type"]
    if kind == "struct":
        name = schema.get("name", "ConnectDefault")
        if name in named:
            return optional(schema, name)
        named.add(name)
        fields = [{"name": part["field"], "type": avro(part, named)} for part in schema["fields"]]
        return optional(schema, {"type": "record", "name": name, "connect.name": name, "fields": fields})
    if kind == "array":
        return optional(schema, {"type": "array", "items": avro(schema["items"], named)})
    node = {"type": TYPES.get(kind, kind)}
    if "name" in schema:
        node |= {"connect.name": schema["name"], "connect.version": schema.get("version", 1)}
        node |= {"connect.parameters": schema["parameters"]} if "parameters" in schema else {}
        if schema["name"].endswith(".Decimal"):
            node |= {"logicalType": "decimal", "scale": int(schema["parameters"]["scale"]), "precision": 64}
    return optional(schema, node)


def optional(schema, node):
    return ["null", node] if schema.get("optional") else node


def raw(value, schema):
    """Return a value of Connect's JSON as it is in Connect: bytes that are bytes."""
    if value is None:
        return None
    if schema["type"] == "struct":
        return {part["field"]: raw(value.get(part["field"]), part) for part in schema["fields"]}
    if schema["type"] == "array":
        return [raw(item, schema["items"]) for item in value]
    return b64decode(value) if schema["type"] == "bytes" else value


def without_logical_types(node):
    """Take away what makes fastavro want decimals: it then writes raw bytes."""
    if isinstance(node, dict):
        return {name: without_logical_types(item) for name, item in node.items() if name != "logicalType"}
    return [without_logical_types(item) for item in node] if isinstance(node, list) else node


def in_avro(text, schema_id):
    """Return the five bytes and the Avro of a message with the schema wrapper; and what reads it."""
    message = json.loads(text)
    schema = avro(message["schema"], set())
    written = io.BytesIO()
    plain = fastavro.parse_schema(without_logical_types(schema))
    fastavro.schemaless_writer(written, plain, raw(message["payload"], message["schema"]))
    reader = reader_of(RegisteredSchema("AVRO", json.dumps(schema)))
    return b"\0" + schema_id.to_bytes(4, "big") + written.getvalue(), reader


JSON_TYPES = {
    "string": "string",
    "boolean": "boolean",
    "float": "number",
    "double": "number",
    "bytes": "string",
}


def json_schema(schema):
    """Return what Connect's JsonSchemaData makes of a Connect schema."""
    kind = schema["type"]
    if kind == "struct":
        properties = {part["field"]: json_schema(part) for part in schema["fields"]}
        node = {"type": "object", "properties": properties}
    elif kind == "array":
        node = {"type": "array", "items": json_schema(schema["items"])}
    else:
        node = {"type": JSON_TYPES.get(kind, "integer"), "connect.type": kind}
    if "name" in schema:
        node |= {"title": schema["name"], "connect.version": 1}
        node |= {"connect.parameters": schema["parameters"]} if "parameters" in schema else {}
    return {"oneOf": [{"type": "null"}, node]} if schema.get("optional") else node


def in_json(text, schema_id):
    """Return the five bytes and the JSON of a message without its schema wrapper; and what reads it."""
    message = json.loads(text)
    reader = reader_of(RegisteredSchema("JSON", json.dumps(json_schema(message["schema"]))))
    return b"\0" + schema_id.to_bytes(4, "big") + json.dumps(message["payload"]).encode(), reader


def outcome(decode):
    try:
        return decode()
    except (PoisonError, SkippedError) as error:
        return str(error)


@pytest.mark.parametrize("form", [in_avro, in_json])
@pytest.mark.parametrize("variant", ["schema_default", "schema_readable"])
def test_what_debezium_wrote_is_the_same_change_as_its_json_with_the_schema(variant, form):
    lines = (SAMPLES / f"{variant}.jsonl").read_text().splitlines()
    for sample in map(json.loads, lines):
        at = Partition("catalogue.changes.v1", 0)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=sample["timestamp"])
        key, value = (None if part is None else part.encode() for part in (sample["key"], sample["value"]))
        as_json = Record(at, sample["offset"], key, value, moment)
        readers = {}
        if sample["key"] is not None:
            key, readers[KEY] = form(sample["key"], KEY)
        if sample["value"] is not None:
            value, readers[VALUE] = form(sample["value"], VALUE)
        registered = Record(at, sample["offset"], key, value, moment)
        expected = outcome(lambda record=as_json: reading_of(record))
        schemas = BatchSchemas(readers)
        assert (
            outcome(lambda record=registered, schemas=schemas: schemas.decode(record, reading_of)) == expected
        )
