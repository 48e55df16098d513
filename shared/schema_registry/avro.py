"""Avro to JSON: what a Connect schema explains becomes what it would in JSON, bytes become base64.

fastavro reads; our own logical type, put on every node that needs it, says what becomes of the value. The
types of Avro (decimal, date, timestamp-millis, ...) and of Connect (`connect.name`) go the way of
`schemas.wire.connect_types`. What Connect made (Debezium's Avro) becomes JSON with the schema wrapper.
"""

import json
import struct
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from io import BytesIO
from typing import Any

import fastavro
import orjson
from fastavro import _read_py as readers_in_python
from fastavro import read as readers
from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from schemas.base import MAX_DEPTH
from schemas.wire.connect_types import interpret
from schemas.wire.errors import WireError
from schemas.wire.strict_json import Object
from shared.schema_registry import numbers
from shared.schema_registry.connect_schema import connect_schema, encoded, is_connects, wrapped
from shared.schema_registry.registry import RegisteredSchema

Node = Any  # Any: an Avro schema is JSON
OURS = "headrace"
CONNECT = "org.apache.kafka.connect.data."
CONNECT_NAMES: Mapping[str, str] = {
    "decimal": f"{CONNECT}Decimal",
    "date": f"{CONNECT}Date",
    "time-millis": f"{CONNECT}Time",
    "time-micros": "io.debezium.time.MicroTime",
    "timestamp-millis": f"{CONNECT}Timestamp",
    "timestamp-micros": "io.debezium.time.MicroTimestamp",
    "timestamp-nanos": "io.debezium.time.NanoTimestamp",
    "local-timestamp-millis": f"{CONNECT}Timestamp",
    "local-timestamp-micros": "io.debezium.time.MicroTimestamp",
    "local-timestamp-nanos": "io.debezium.time.NanoTimestamp",
}
"""What Connect calls a logical type of Avro."""
RECORDS = ("record", "error")
CHANGED = ("bytes", "fixed", "float", "double")
"""Types whose values are others in JSON, whatever explains them."""
KINDS = ("null", "boolean", "int", "long", "string", "enum", "array", "map", *RECORDS, *CHANGED)
MAX_SCHEMA_DEPTH = 3 * MAX_DEPTH
LONGEST_VARINT = 10
UNFIT = (
    *(EOFError, ValueError, TypeError, LookupError, ArithmeticError),
    *(RecursionError, AssertionError, struct.error),
)
"""What fastavro raises when bytes are not what their schema says."""


@dataclass(frozen=True, slots=True)
class AvroReader:
    """Turns Avro bytes into JSON, by fastavro's schema with our marks."""

    schema: Node
    is_deep: bool
    wrapper: bytes | None
    """The Connect schema, which goes with the JSON as in Connect's own."""

    def __call__(self, payload: bytes, /) -> bytes:
        """Return the JSON; raises `WireError`."""
        try:
            text = orjson.dumps((_read_in_python if self.is_deep else _read)(payload, self.schema))
        except UNFIT as error:
            why = f"not the Avro that its schema says: {error!r}"
            raise WireError("schema.mismatch", why[:300]) from error
        return wrapped(self.wrapper, text)


def reader_of(schema: RegisteredSchema) -> AvroReader:
    """Return what turns Avro bytes into JSON; raises `WireError`."""
    try:
        return _compiled(schema)
    except WireError:
        raise
    except (SchemaParseException, UnknownType, *UNFIT) as error:
        raise WireError("schema.invalid", f"fastavro refuses it: {error!r}"[:300]) from error


def _compiled(schema: RegisteredSchema) -> AvroReader:
    named: dict[str, Node] = {}
    wholes = [
        parse_schema(_loaded(text), named_schemas=named)
        for text in (*schema.references.values(), schema.text)
    ]
    is_deep = _is_deep(wholes[-1], named)
    is_explained = not is_deep and is_connects(wholes[-1])
    wrapper = encoded(connect_schema(wholes[-1], named)) if is_explained else None
    marked: dict[str, Node] = {}
    for whole in wholes:
        parsed = parse_schema(_Marking(explains=wrapper is None).of(whole, 0), named_schemas=marked)
    weights = _Weights(marked)
    for node in (parsed, *marked.values()):
        weights.refuse_bombs(node)
    return AvroReader(parsed, is_deep, wrapper)


def _loaded(text: str) -> Node:
    """Return the schema as JSON; a primitive may also stand there by its bare name."""
    return json.loads(text) if text.lstrip()[:1] in ("{", "[", '"') else text.strip()


@dataclass(frozen=True, slots=True)
class _Marking:
    """Puts our logical type where a value becomes another one in JSON."""

    explains: bool
    """Whether what Connect's schema would explain is explained here."""

    def of(self, node: Node, depth: int) -> Node:
        if depth > MAX_SCHEMA_DEPTH:
            raise WireError("schema.invalid", f"more than {MAX_SCHEMA_DEPTH} levels of nesting")
        if type(node) is list:
            return [self.of(branch, depth + 1) for branch in node]
        if type(node) is not dict:
            return {"type": node, "logicalType": OURS} if node in CHANGED else node
        return self.of(node["type"], depth + 1) if type(node["type"]) is not str else self._type(node, depth)

    def _type(self, node: Object, depth: int) -> Object:
        copy = {
            name: item for name, item in node.items() if not name.startswith("__") and name != "logicalType"
        }
        if copy["type"] in RECORDS:
            copy["fields"] = [
                {"name": part["name"], "type": self.of(part["type"], depth + 1)} for part in copy["fields"]
            ]
        for name in ("items", "values"):
            if name in copy:
                copy[name] = self.of(copy[name], depth + 1)
        explained = _explanation(node) if self.explains else None
        if explained is not None or copy["type"] in CHANGED:
            copy |= {"logicalType": OURS, OURS: explained}
        return copy


def _explanation(node: Object) -> Object | None:
    """Return what Connect would say of a value of this type."""
    name = node.get("connect.name") or CONNECT_NAMES.get(str(node.get("logicalType")))
    if name is None:
        return None
    parameters = node.get("connect.parameters") or {"scale": node.get("scale", 0)}
    return {"type": node["type"], "name": name, "parameters": parameters}


class _Weights:
    """How many values a few bytes may stand for: a count of 2^60 nulls takes ten bytes."""

    def __init__(self, named: Mapping[str, Node]) -> None:
        self._named = named
        self._known: dict[str, tuple[int, int]] = {}

    def refuse_bombs(self, node: Node) -> None:
        """Raise `WireError` when what may be repeated or chosen takes next to no bytes for many values."""
        for child in _children(node):
            self.refuse_bombs(child)
        if type(node) is not dict or node["type"] not in RECORDS:
            choice = int(type(node) is list)
            for child in _children(node):
                self._refuse(child, choice)

    def _refuse(self, node: Node, beside: int) -> None:
        least, values = self._of(node)
        if values > MAX_DEPTH * (least + beside):
            raise WireError("schema.invalid", "it has items that take next to no bytes")

    def _of(self, node: Node) -> tuple[int, int]:
        """Return the least bytes that a value of this type takes, and of how many values it then is made."""
        if type(node) is str and node in self._named:
            if node not in self._known:
                self._known[node] = self._of(self._named[node])
            return self._known[node]
        kind = node["type"] if type(node) is dict else node
        if kind == "null":
            return 0, 1
        if kind == "fixed":
            return int(node["size"]), 1
        if kind in RECORDS:
            parts = [self._of(part["type"]) for part in node["fields"]]
            return sum(least for least, _ in parts), 1 + sum(values for _, values in parts)
        return 1, 1


def _is_deep(root: Node, named: Mapping[str, Node]) -> bool:
    """Whether a type contains itself, or types contain each other very deeply."""
    graph = {name: _mentions(node, named) for name, node in {"": root, **named}.items()}
    depths: dict[str, int] = {}
    try:
        for name in TopologicalSorter(graph).static_order():
            depths[name] = 1 + max((depths[inner] for inner in graph[name]), default=0)
    except CycleError:
        return True
    return max(depths.values()) > MAX_DEPTH


def _mentions(node: Node, named: Mapping[str, Node]) -> set[str]:
    """Return the named types directly below a node."""
    names: set[str] = set()
    for child in _children(node):
        name = child.get("name") if type(child) is dict else child
        names |= {name} if type(name) is str and name in named else _mentions(child, named)
    return names


def _children(node: Node) -> list[Node]:
    if type(node) is list:
        return node
    if type(node) is not dict:
        return []
    if node["type"] in RECORDS:
        return [part["type"] for part in node["fields"]]
    return [node[name] for name in ("items", "values") if name in node]


def _read(payload: bytes, schema: Node) -> Any:  # Any: JSON
    source = BytesIO(payload)
    return _whole(fastavro.schemaless_reader(source, schema, None), source)


def _read_in_python(payload: bytes, schema: Node) -> Any:  # Any: JSON
    """Read by fastavro's Python: its C follows a type that contains itself until the stack overflows."""
    source = _ShortVarints(payload)
    return _whole(readers_in_python.schemaless_reader(source, schema, None), source)


def _whole(tree: Any, source: BytesIO) -> Any:  # Any: JSON
    left = len(source.getbuffer()) - source.tell()
    if left:
        raise EOFError(f"{left} bytes are left over")
    return tree


class _ShortVarints(BytesIO):
    """Bytes that refuse a number without end, which would grow and grow in Python (in C it is cut)."""

    _length = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes; raises `EOFError` in the eleventh byte of a number."""
        part = super().read(size)
        self._length = self._length + 1 if size == 1 and part >= b"\x80" else 0
        if self._length > LONGEST_VARINT:
            raise EOFError(f"a number of more than {LONGEST_VARINT} bytes")
        return part


def _explained(value: Any, node: Node, _: Node = None) -> Any:  # Any: Avro in, JSON out
    """Return the JSON of a value on whose type we put our mark."""
    if type(value) is bytes:
        value = b64encode(value).decode()
    if type(value) is float:
        return numbers.as_json(value, is_short=node["type"] == "float")
    try:
        return interpret(value, node.get(OURS))
    except WireError:
        return numbers.UNREADABLE


for _kind in KINDS:
    for _logical in (readers.LOGICAL_READERS, vars(readers_in_python)["LOGICAL_READERS"]):
        _logical[f"{_kind}-{OURS}"] = _explained
