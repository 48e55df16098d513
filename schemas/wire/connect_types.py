"""The types of Kafka Connect and Debezium that only a schema explains, in plain JSON.

Decimals (base64 bytes on the wire) become numbers, dates and times (integers on the wire) ISO 8601 text,
documents (text on the wire) objects, sets (text on the wire) lists, points their coordinates. Without a
schema a value is taken as it is written, but for what cannot be meant otherwise (`guess`).
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from schemas.base import MILLISECOND
from schemas.wire import calendar
from schemas.wire.errors import WireError, shown
from schemas.wire.shapes import point_of
from schemas.wire.strict_json import HIGHEST_INTEGER, LOWEST_INTEGER, Object, parse
from schemas.wire.structured_times import iso_text

_DECIMAL = "org.apache.kafka.connect.data.Decimal"
_VARIABLE_DECIMAL = "io.debezium.data.VariableScaleDecimal"
_VARIABLE = {"scale", "value"}
_STARTS = frozenset("+-{[ \t\r\n")
_DOCUMENT = re.compile(r'\s*(?:\{\s*["}]|\[\s*["{\]])')


def interpret(value: Any, schema: object) -> Any:  # Any: JSON in, JSON out
    """Return `value` with what its schema explains put in plain JSON; raises `WireError`."""
    if value is None or type(schema) is not dict:
        return value
    name = schema.get("name")
    read = _SEMANTIC.get(name) if type(name) is str else None
    if read is not None:
        return read(value, schema)
    kind = schema.get("type")
    if kind in ("float", "double") and type(value) is str:
        raise WireError("field.number_not_finite", f"{shown(value)} is not a finite number")
    if kind == "bytes":
        raise _useless("bytes")
    return _inside(value, schema)


def guess(value: Any) -> Any:  # Any: JSON in, JSON out
    """Return a value without a schema; what can only be a decimal, a document or no date is read as such.

    A text is a document when it is strict JSON from end to end: an object, or a list of texts or objects.
    """
    if type(value) is str:
        return _guess_text(value) if value[:1] in _STARTS else value
    if type(value) is dict and value.keys() == _VARIABLE:
        try:
            return _variable_decimal(value, {})
        except WireError:
            return value
    return value


def exact_decimal(value: Any, schema: object) -> Decimal | None:  # Any: JSON
    """Return a decimal with all its digits, None for a value of another type; raises `WireError`."""
    name = schema.get("name") if type(schema) is dict else None
    if type(schema) is dict and name == _DECIMAL and value is not None:
        return _exact(value, _parameter(schema, "scale"))
    if name == _VARIABLE_DECIMAL or (schema is None and type(value) is dict and value.keys() == _VARIABLE):
        return _exact(value.get("value"), value.get("scale")) if type(value) is dict else None
    return None


def field_schemas(schema: object) -> Mapping[str, Object]:
    """Return the schemas of a struct's fields, by name."""
    fields = schema.get("fields") if type(schema) is dict else None
    if type(fields) is not list:
        return {}
    return {
        field["field"]: field for field in fields if type(field) is dict and type(field.get("field")) is str
    }


def _inside(value: Any, schema: Object) -> Any:  # Any: JSON in, JSON out
    """Return a struct, map or list with what it holds interpreted."""
    if type(value) is list:
        if schema.get("type") == "map":  # one with keys that are no text: pairs
            pairs = [item for item in value if type(item) is list and len(item) == 2]
            return {str(key): interpret(item, schema.get("values")) for key, item in pairs}
        return [interpret(item, schema.get("items")) for item in value]
    if type(value) is not dict:
        return value
    if schema.get("type") == "map":
        return {name: interpret(item, schema.get("values")) for name, item in value.items()}
    fields = field_schemas(schema)
    return {name: interpret(item, fields.get(name)) for name, item in value.items()}


def _guess_text(text: str) -> Any:  # Any: JSON
    if text[:1] in "+-" and text[1:2].isdigit() and (far := calendar.far(text, days="T" not in text)):
        return far
    return _document(text) if _DOCUMENT.match(text) else text


def _document(text: str) -> Any:  # Any: JSON
    try:
        return parse(text.encode())
    except WireError:
        return text


def _json(value: Any, schema: Object) -> Any:  # noqa: ARG001 - one shape for all readers
    return _document(value) if type(value) is str else value


def _set(value: Any, schema: Object) -> Any:  # noqa: ARG001 - as above
    if type(value) is not str:
        return value
    return value.split(",") if value else []


def _decimal(value: object, schema: Object) -> float:
    return _number(_exact(value, _parameter(schema, "scale")))


def _variable_decimal(value: object, schema: Object) -> float:  # noqa: ARG001 - as above
    if type(value) is not dict:
        raise _misfit(value, "a decimal of variable scale")
    return _number(_exact(value.get("value"), value.get("scale")))


def _exact(unscaled: object, scale: object) -> Decimal:
    """Return an unscaled big-endian two's complement number."""
    try:
        whole = int.from_bytes(b64decode(str(unscaled), validate=True), "big", signed=True)
        return Decimal(f"{whole}E{-int(str(scale))}")
    except (ValueError, ArithmeticError) as error:
        raise _misfit(unscaled, "a decimal") from error


def _number(number: Decimal) -> float:
    """Return a number without digits after the point as int, within 64 bits, any other as float."""
    if number.as_tuple().exponent == 0 and LOWEST_INTEGER <= number <= HIGHEST_INTEGER:
        return int(number)
    if not isfinite(value := float(number)):
        raise _misfit(str(number), "a decimal that a float can hold")
    return value


def _bits(value: object, schema: Object) -> int:  # noqa: ARG001 - as above
    """Return bits, the lowest first in little-endian bytes, as the number that they write."""
    return int.from_bytes(_bytes(value), "little")


def _shape(value: object, schema: Object) -> Any:  # noqa: ARG001 - as above
    """Return a point's coordinates; other shapes have nothing that is searched."""
    if type(value) is not dict:
        raise _misfit(value, "a shape")
    if "x" in value and "y" in value:
        return {"x": value["x"], "y": value["y"]}
    return point_of(_bytes(value.get("wkb")))


def _vector(value: object, schema: Object) -> Any:  # noqa: ARG001 - as above
    raise _useless("a vector")


def _structured(value: Any, schema: Object) -> Any:
    if type(value) is not dict:
        raise _misfit(value, "a date or time")
    return iso_text(value, zoned=not schema["name"].endswith(".StructuredTime"))


def _bytes(value: object) -> bytes:
    try:
        return b64decode(value if type(value) is str else "?", validate=True)
    except ValueError as error:
        raise _misfit(value, "base64") from error


def _parameter(schema: Object, name: str) -> object:
    parameters = schema.get("parameters")
    return parameters.get(name) if type(parameters) is dict else None


def _date(value: object, schema: Object) -> str:  # noqa: ARG001 - as above
    return calendar.iso_date(value)


def _time(unit: timedelta) -> Callable[[object, Object], str]:
    return lambda value, schema: calendar.iso_time(value, unit)  # noqa: ARG005 - as above


def _timestamp(unit: timedelta) -> Callable[[object, Object], str]:
    return lambda value, schema: calendar.iso_moment(value, unit)  # noqa: ARG005 - as above


def _text(value: Any, schema: Object) -> Any:  # Any: JSON
    """Return a date or time that is text; what lies outside the calendar is its first or last."""
    if type(value) is not str:
        return value
    return calendar.far(value, days="Date" in schema["name"]) or value


def _misfit(value: object, what: str) -> WireError:
    return WireError("connect.invalid", f"{shown(value)} is not {what}, which its schema says it is")


def _useless(what: str) -> WireError:
    return WireError("field.unsupported", f"it is {what}: search has no use for that, leave it out")


def _nanoseconds(value: object, schema: Object) -> str:  # noqa: ARG001 - as above
    return calendar.iso_nanoseconds(value)


def _nanoseconds_of_day(value: object, schema: Object) -> str:  # noqa: ARG001 - as above
    return calendar.iso_time(value // 1000 if type(value) is int else value, calendar.MICROSECOND)


_SEMANTIC: Mapping[str, Callable[[Any, Object], Any]] = {
    _DECIMAL: _decimal,
    _VARIABLE_DECIMAL: _variable_decimal,
    "org.apache.kafka.connect.data.Date": _date,
    "org.apache.kafka.connect.data.Time": _time(MILLISECOND),
    "org.apache.kafka.connect.data.Timestamp": _timestamp(MILLISECOND),
    **{
        f"io.debezium.time.{name}": read
        for name, read in {
            "Date": _date,
            "Time": _time(MILLISECOND),
            "MicroTime": _time(calendar.MICROSECOND),
            "NanoTime": _nanoseconds_of_day,
            "Timestamp": _timestamp(MILLISECOND),
            "MicroTimestamp": _timestamp(calendar.MICROSECOND),
            "NanoTimestamp": _nanoseconds,
            "ZonedTimestamp": _text,
            "IsoDate": _text,
            "IsoTimestamp": _text,
            "StructuredDate": _structured,
            "StructuredTime": _structured,
            "StructuredZonedTime": _structured,
            "StructuredTimestamp": _structured,
            "StructuredZonedTimestamp": _structured,
        }.items()
    },
    **{
        f"io.debezium.data.{name}": read
        for name, read in {
            "Json": _json,
            "EnumSet": _set,
            "Bits": _bits,
            "DoubleVector": _vector,
            "FloatVector": _vector,
            "SparseDoubleVector": _vector,
            **{f"geometry.{shape}": _shape for shape in ("Point", "Geometry", "Geography", "Circle", "Line")},
        }.items()
    },
}
