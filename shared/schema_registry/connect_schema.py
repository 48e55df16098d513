"""Connect's schema beside a message, and what an Avro schema was made of (by Connect's AvroData)."""

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.base import MAX_MESSAGE_BYTES
from schemas.wire.strict_json import Object

Node = Any  # Any: an Avro schema is JSON
TYPES: Mapping[str, str] = {"int": "int32", "long": "int64", "enum": "string", "fixed": "bytes"}
"""Types that Connect calls otherwise."""


def encoded(schema: Object) -> bytes | None:
    """Return a Connect schema as JSON; None when it is too large to go with a message."""
    text = orjson.dumps(schema)
    return text if len(text) <= MAX_MESSAGE_BYTES // 2 else None


def wrapped(schema: bytes | None, text: bytes) -> bytes:
    """Return a message beside the Connect schema that explains it, if there is one."""
    return text if schema is None else b'{"schema":%b,"payload":%b}' % (schema, text)


def is_connects(node: Node) -> bool:
    """Whether Connect made the schema, of a row or of a change of one (and not of a CloudEvent)."""
    if type(node) is not dict or "connect.name" not in node:
        return False
    return "specversion" not in {part["name"] for part in node.get("fields", ())}


def connect_schema(node: Node, named: Mapping[str, Node]) -> Object:
    """Return what the schema wrapper says of a value; no type of `named` may contain itself."""
    if type(node) is str:
        return connect_schema(named[node], named) if node in named else {"type": TYPES.get(node, node)}
    if type(node) is list:
        branches = [branch for branch in node if branch != "null"]
        return connect_schema(branches[0], named) if len(branches) == 1 else {}
    kind = node["type"]
    schema: Object = {"type": TYPES.get(kind, kind)}
    if kind == "record":
        schema["type"] = "struct"
        schema["fields"] = [
            {**connect_schema(part["type"], named), "field": part["name"]} for part in node["fields"]
        ]
    for name in ("items", "values"):
        if name in node:
            schema[name] = connect_schema(node[name], named)
    if "connect.name" in node:
        schema |= {"name": node["connect.name"], "parameters": node.get("connect.parameters", {})}
    return schema
