"""The contract of a schema registry: what we ask of it, and what the usual serializers do with it.

A subclass says where (`url`).
"""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from shared.catalogue.changes import reading_of
from shared.clock import SystemClock
from shared.records import Partition, Record
from shared.schema_registry import protobuf
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.schema_registry.framing import HIGHEST_ID
from shared.schema_registry.registry import HttpSchemaRegistry, RegisteredSchema
from shared.settings import RegistrySettings
from tests.schema_registries import register

MOMENT = datetime(2026, 11, 21, 12, 0, 0, 500_000, UTC)
PROPERTIES = {"title": "Trail shoe", "price": 99.5, "in_stock": False, "sizes": [40, 41]}
CHANGE = {"product_id": "SHOE-1", "op": "upsert", "version": 7, "fields": PROPERTIES}
JSON_SCHEMA = json.dumps(
    {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Change", "type": "object"}
)
AVRO_PRICE = {
    "type": "record",
    "name": "Price",
    "namespace": "shop",
    "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}
    ],
}
AVRO_CHANGE = {
    "type": "record",
    "name": "Change",
    "namespace": "shop",
    "fields": [
        {"name": "product_id", "type": "string"},
        {"name": "op", "type": {"type": "enum", "name": "Op", "symbols": ["upsert", "patch", "delete"]}},
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "fields",
            "type": {
                "type": "record",
                "name": "Fields",
                "fields": [
                    {"name": "title", "type": ["null", "string"]},
                    {"name": "price", "type": ["null", "shop.Price"]},
                    {"name": "weight", "type": "float"},
                    {"name": "brand", "type": ["null", "string"]},
                ],
            },
        },
    ],
}
PROTO_PRICE = 'syntax = "proto3"; package shop; message Price { int64 cents = 1; string currency = 2; }'
PROTO_CHANGE = """
syntax = "proto3";
package shop;
import "price.proto";
import "google/protobuf/timestamp.proto";
message Other { int32 x = 1; }
message Change {
  enum Op { OP_UPSERT = 0; OP_PATCH = 1; OP_DELETE = 2; }
  string product_id = 1;
  Op op = 2;
  google.protobuf.Timestamp event_time = 3;
  Fields fields = 4;
  int64 version = 5;
  message Fields { string title = 1; float weight = 2; Price price = 3; bool in_stock = 4; }
}
"""


class SchemaRegistryContract:
    """What holds of every registry."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    async def registry(self, url: str) -> AsyncIterator[HttpSchemaRegistry]:
        registry = HttpSchemaRegistry(RegistrySettings(url=url))
        yield registry
        await registry.aclose()

    @pytest.fixture
    def subject(self) -> str:
        return f"s{uuid.uuid4().hex}"

    async def test_a_schema_is_what_was_registered(self, url, registry, subject):
        for kind, text in (("AVRO", '{"type": "string"}'), ("JSON", JSON_SCHEMA)):
            schema = await registry.schema(register(url, f"{subject}-{kind}", kind, text))
            assert schema.kind == kind
            assert json.loads(schema.text) in (json.loads(text), "string")
            assert schema.references == {}

    async def test_what_a_schema_refers_to_comes_with_it_and_in_order(self, url, registry, subject):
        texts = [f'syntax = "proto3"; package p; message M{n} {{ int32 x = 1; }}' for n in range(2)]
        texts[1] = texts[1].replace(" package", ' import "m0.proto"; package')
        register(url, f"{subject}0", "PROTOBUF", texts[0])
        register(url, f"{subject}1", "PROTOBUF", texts[1], **{"m0.proto": f"{subject}0"})
        top = 'syntax = "proto3"; import "m1.proto"; message Top { p.M1 m = 1; }'
        schema = await registry.schema(register(url, subject, "PROTOBUF", top, **{"m1.proto": f"{subject}1"}))
        assert schema.text == top
        assert list(schema.references) == ["m0.proto", "m1.proto"]
        assert schema.references["m0.proto"] == texts[0]

    async def test_an_id_that_it_does_not_have_is_none(self, registry):
        for schema_id in (987_654, HIGHEST_ID, uuid.uuid4()):
            assert await registry.schema(schema_id) is None

    async def test_avro_of_the_usual_serializer_is_the_change_that_it_states(self, url, subject):
        register(url, f"{subject}-price", "AVRO", json.dumps(AVRO_PRICE))
        reference = {"name": "shop.Price", "subject": f"{subject}-price", "version": 1}
        schema = Schema(json.dumps(AVRO_CHANGE), "AVRO", [_reference(reference)])
        fields = {"title": "Trail shoe", "price": {"amount": Decimal("99.50")}, "weight": 0.3, "brand": None}
        state = {"product_id": "SHOE-1", "op": "upsert", "event_time": MOMENT, "fields": fields}
        value = AvroSerializer(client(url), schema)(state, context(subject))
        change = await read(url, value)
        assert change.product_id == "SHOE-1"
        assert change.event_time == MOMENT
        assert change.fields == {"title": "Trail shoe", "price.amount": 99.5, "weight": 0.3, "brand": None}

    async def test_json_of_the_usual_serializer_is_the_change_that_it_states(self, url, subject):
        value = JSONSerializer(JSON_SCHEMA, client(url))(CHANGE, context(subject))
        change = await read(url, value)
        assert change.fields == {**PROPERTIES, "sizes": (40, 41)}

    async def test_protobuf_of_the_usual_serializer_is_the_change_that_it_states(self, url, subject):
        kind = message_class(PROTO_CHANGE, {"price.proto": PROTO_PRICE}, "shop.Change")
        fields = {"title": "Trail shoe", "weight": 0.3, "price": {"cents": 9950}}
        message = ParseDict(
            {"product_id": "SHOE-1", "event_time": MOMENT.isoformat(), "fields": fields}, kind()
        )
        value = ProtobufSerializer(kind, client(url), {"use.deprecated.format": False})(
            message, context(subject)
        )
        change = await read(url, value)
        assert (change.product_id, change.op, change.event_time) == ("SHOE-1", "upsert", MOMENT)
        assert change.fields == {
            "title": "Trail shoe",
            "weight": 0.3,
            "price.cents": 9950,
            "in_stock": False,
        }

    async def test_protobuf_that_was_registered_as_text_is_read_too(self, url, subject):
        register(url, f"{subject}-price", "PROTOBUF", PROTO_PRICE)
        schema_id = register(url, subject, "PROTOBUF", PROTO_CHANGE, **{"price.proto": f"{subject}-price"})
        kind = message_class(PROTO_CHANGE, {"price.proto": PROTO_PRICE}, "shop.Change")
        message = ParseDict({"product_id": "SHOE-1", "fields": {"price": {"cents": 5}}}, kind())
        value = b"\0" + schema_id.to_bytes(4, "big") + b"\x02\x02" + message.SerializeToString()
        assert (await read(url, value)).fields["price.cents"] == 5


def _reference(named: dict[str, Any]) -> Any:
    return SchemaReference(**named)


def client(url: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": url})


def context(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def message_class(text: str, references: dict[str, str], name: str) -> Any:
    """Return the class of a Protobuf message, as a producer has it of its generated code."""
    pool = DescriptorPool()
    for file in protobuf.descriptors(RegisteredSchema("PROTOBUF", text, references)):
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(name))


async def read(url: str, value: bytes) -> Any:
    """Return the change that a message states."""
    deserializer = SchemaDeserializer.of(RegistrySettings(url=url), clock=SystemClock())
    record = Record(Partition("catalogue.changes.v1", 0), 3, None, value, MOMENT)
    try:
        schemas = await deserializer.schemas_of([record])
        return schemas.decode(record, reading_of).change
    finally:
        await deserializer.aclose()
