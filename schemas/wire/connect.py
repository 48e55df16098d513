"""Kafka Connect's JSON: the schema wrapper, and what a message key says.

A key is text, a JSON text or number, or a struct with the key's columns, each with or without its schema; a
connector with a `StringConverter` for keys writes `Struct{sku=A,locale=de}`. MongoDB's key struct has the
document's `_id` as a text of extended JSON.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from schemas.base import MAX_ID_BYTES
from schemas.wire import extended_json
from schemas.wire.connect_types import exact_decimal, field_schemas, interpret
from schemas.wire.errors import WireError, shown
from schemas.wire.strict_json import Object, parse

_WRAPPER = {"schema", "payload"}
_STRUCT_TEXT = re.compile(r"Struct\{(.*)\}", re.DOTALL)


def is_wrapped(message: Object) -> bool:
    """Whether the object is `{"schema": ..., "payload": ...}` and nothing else."""
    return len(message) == 2 and message.keys() == _WRAPPER


def key_identity(key: bytes | None) -> str | None:
    """Return the id that a message key states: its text, a JSON text, or the values of a key struct."""
    if key is None:
        return None
    content = _content(key)
    if content is None:
        return None
    return identity(content) if type(content) is dict else _part(content, key)


def key_struct(key: bytes | None) -> Object | None:
    """Return a key with named columns, unwrapped; None for a plain key."""
    try:
        content = None if key is None else _content(key)
    except WireError:
        return None
    return content if type(content) is dict else None


def identity(struct: Mapping[str, object]) -> str | None:
    """Return the values of a key struct, joined by `:`; None when there are none."""
    if not struct:
        return None
    return ":".join(_part(value, dict(struct)) for value in struct.values())


def _content(key: bytes) -> Any:  # Any: JSON
    """Return what a key holds: text, a scalar, or a dictionary of columns; raises `WireError`."""
    if key[:1] in (b"{", b'"'):
        try:
            return _unwrapped(parse(key))
        except WireError:
            pass  # a text that happens to begin so
    try:
        text = key.decode()
    except UnicodeDecodeError as error:
        raise WireError(
            "id.invalid", f"the key {shown(key)} is not text: use the product id as key"
        ) from error
    struct = _STRUCT_TEXT.fullmatch(text)
    if struct is None:
        return text
    return dict(column.partition("=")[::2] for column in struct[1].split(","))


def _unwrapped(content: Any) -> Any:  # Any: JSON
    schema: object = None
    if type(content) is dict and is_wrapped(content):
        schema, content = content["schema"], content["payload"]
    if type(content) is not dict:
        return content
    if content.keys() == {"id"} and type(content["id"]) is str:
        return {"id": extended_json.identity(content["id"])}
    schemas = field_schemas(schema)
    return {name: _column(value, schemas.get(name)) for name, value in content.items()}


def _column(value: object, schema: object) -> object:
    """Return one column of a key; decimals digit by digit, however many there are."""
    if schema is None and type(value) is not dict:
        return value
    number = exact_decimal(value, schema)
    if number is None:
        plain = interpret(value, schema)
        is_long = type(plain) is int and plain.bit_length() > 8 * MAX_ID_BYTES
        return None if is_long else plain  # null is refused: Python writes no number of 4,300 digits out
    if abs(number.adjusted()) > MAX_ID_BYTES:
        return number  # which is refused: of a scale of 10^9 the text would fill the memory
    return f"{number:f}"


def _part(value: object, whole: object) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or (type(value) is float and isfinite(value)):
        return str(int(value) if value == int(value) else value)
    raise WireError("id.invalid", f"the key {shown(whole)} must hold text or numbers")
