"""MongoDB's extended JSON (version 1 strict, version 2 canonical and relaxed) as plain JSON.

Numbers become numbers, times ISO 8601 text, object ids and UUIDs text. The specification is at
https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from schemas.base import MILLISECOND
from schemas.wire.calendar import iso_moment
from schemas.wire.errors import WireError, shown
from schemas.wire.strict_json import parse

_UUIDS = ("03", "04", "3", "4", 3, 4)


def read(text: str) -> Any:  # Any: JSON
    """Return a document, or a value, that is written in extended JSON; raises `WireError`."""
    return plain(parse(text.encode()))


def identity(text: str) -> str:
    """Return the id that the `id` of a MongoDB key states; other text is itself.

    `{"$oid": "65f0"}` is `65f0`, `"A-1"` in quotes is `A-1`; the values of a document are joined by `:`.
    """
    if not text.startswith(("{", '"')):
        return text
    try:
        value = read(text)
    except WireError:
        return text
    if type(value) is dict and all(type(part) in (str, int) for part in value.values()):
        return ":".join(map(str, value.values()))
    return value if type(value) is str else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def plain(value: Any) -> Any:  # Any: JSON in, JSON out
    """Return a value without the objects that stand for a type; what has no meaning for search is null."""
    if type(value) is list:
        return [plain(item) for item in value]
    if type(value) is not dict:
        return value
    reader = next((_TYPES[name] for name in value if name in _TYPES), None)
    if reader is None:
        return {name: plain(item) for name, item in value.items()}
    try:
        return reader(value)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise WireError("field.invalid", f"{shown(value)} is not MongoDB's extended JSON") from error


def _date(value: Mapping[str, Any]) -> str:
    moment = plain(value["$date"])
    return moment if type(moment) is str else iso_moment(moment, MILLISECOND)


def _timestamp(value: Mapping[str, Any]) -> str:
    return iso_moment(value["$timestamp"]["t"], timedelta(seconds=1))


def _binary(value: Mapping[str, Any]) -> str:
    """Return a UUID as such, other bytes as base64."""
    binary = value["$binary"]
    encoded, kind = (
        (binary["base64"], binary.get("subType")) if type(binary) is dict else (binary, value.get("$type"))
    )
    return str(UUID(bytes=b64decode(encoded))) if kind in _UUIDS else str(encoded)


def _pattern(value: Mapping[str, Any]) -> str:
    stated = value.get("$regularExpression", value)
    return str(stated["pattern"] if "pattern" in stated else stated["$regex"])


def _float(value: Mapping[str, Any]) -> float:
    return float(next(iter(value.values())))


def _int(value: Mapping[str, Any]) -> int:
    return int(next(iter(value.values())))


def _text(value: Mapping[str, Any]) -> str:
    return str(next(iter(value.values())))


def _nothing(value: Mapping[str, Any]) -> None:
    """Return null: undefined, or a bound that is no value."""


_TYPES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "$oid": _text,
    "$uuid": _text,
    "$symbol": _text,
    "$code": lambda value: str(value["$code"]),
    "$numberInt": _int,
    "$numberLong": _int,
    "$numberDouble": _float,
    "$numberDecimal": _float,
    "$date": _date,
    "$timestamp": _timestamp,
    "$binary": _binary,
    "$regularExpression": _pattern,
    "$regex": _pattern,
    "$undefined": _nothing,
    "$minKey": _nothing,
    "$maxKey": _nothing,
}
