"""JSON whose schema is in a registry: as it is, with Connect's schema wrapper where Connect made it."""

from typing import Any

from schemas.wire.errors import WireError
from schemas.wire.strict_json import Object, parse
from shared.schema_registry.connect_schema import encoded, wrapped
from shared.schema_registry.registry import RegisteredSchema

Node = Any  # Any: a JSON Schema is JSON
CONNECT_TYPE = "connect.type"
TYPES = {"integer": "int64", "number": "double"}


class JsonReader:
    """Gives a message back, beside the Connect schema that explains its decimals, dates and documents."""

    def __init__(self, schema: RegisteredSchema) -> None:
        self.wrapper = _wrapper(schema.text)

    def __call__(self, payload: bytes, /) -> bytes:
        """Return the JSON."""
        return wrapped(self.wrapper, payload)


def _wrapper(text: str) -> bytes | None:
    """Return the Connect schema that Connect's JsonSchemaConverter made a JSON Schema of."""
    if CONNECT_TYPE not in text and "connect.index" not in text:
        return None
    try:
        root = parse(text.encode())
        converted = encoded(_Conversion(root).of(root, ()))
    except (WireError, TypeError, AttributeError, LookupError, RecursionError):
        return None  # not Connect's after all: the message says itself what it is
    is_event = "specversion" in root.get("properties", {})
    return None if is_event else converted


class _Conversion:
    """JSON Schema to Connect's own."""

    def __init__(self, root: Object) -> None:
        self._root = root

    def of(self, node: Node, above: tuple[str, ...]) -> Object:
        if "$ref" in node:
            return self._referred(node["$ref"], above)
        if "oneOf" in node:
            branches = [branch for branch in node["oneOf"] if branch.get("type") != "null"]
            return self.of(branches[0], above) if len(branches) == 1 else {}
        schema: Object = self._kind(node, above)
        if "title" in node:
            schema |= {"name": node["title"], "parameters": node.get("connect.parameters", {})}
        return schema

    def _kind(self, node: Node, above: tuple[str, ...]) -> Object:
        kind = node.get(CONNECT_TYPE, node.get("type"))
        if kind == "map":
            return {"type": "map", "values": self.of(node.get("additionalProperties", {}), above)}
        if kind == "object":
            fields = [{**self.of(part, above), "field": name} for name, part in node["properties"].items()]
            return {"type": "struct", "fields": fields}
        if kind == "array":
            return {"type": "array", "items": self.of(node["items"], above)}
        return {"type": TYPES.get(kind, kind)}

    def _referred(self, reference: str, above: tuple[str, ...]) -> Object:
        """Return what a reference within the document leads to; {} for what contains itself."""
        node = self._root
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
        return {} if reference in above else self.of(node, (*above, reference))
