"""Kafka Connect's JSON: the schema wrapper, key structs, and the types that only a schema explains.

Without a schema a value is taken as it is written. With one, decimals (base64 bytes on the wire) become
numbers, and dates and times (integers on the wire) become ISO 8601 text.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.wire.errors import WireError, shown
from schemas.wire.strict_json import Object, parse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_WRAPPER = {"schema", "payload"}


def is_wrapped(message: Object) -> bool:
    """Whether the object is `{"schema": ..., "payload": ...}` and nothing else."""
    return len(message) == 2 and message.keys() == _WRAPPER


def key_identity(key: bytes | None) -> str | None:
    """Return the id that a message key states: its text, a JSON text, or the values of a key struct."""
    struct = key_struct(key)
    if struct is not None or key is None:
        return identity(struct or {})
    try:
        quoted = len(key) > 1 and key.startswith(b'"') and key.endswith(b'"')
        text = parse(key) if quoted else key.decode()
    except ValueError as error:
        raise WireError(
            "id.invalid", f"the key {shown(key)} is not text: use the product id as key"
        ) from error
    return str(text)


def key_struct(key: bytes | None) -> Object | None:
    """Return a key that is a JSON object, unwrapped; None for a plain key."""
    if key is None or not key.startswith(b"{"):
        return None
    try:
        struct = parse(key)
    except WireError:
        return None
    if type(struct) is dict and is_wrapped(struct):
        struct = interpret(struct["payload"], struct["schema"])
    return struct if type(struct) is dict else None


def identity(struct: Mapping[str, object]) -> str | None:
    """Return the values of a key struct, joined by `:`; None when there are none."""
    if not struct:
        return None
    if any(type(value) not in (str, int) for value in struct.values()):
        raise WireError("id.invalid", f"the key {shown(dict(struct))} must hold text or whole numbers")
    return ":".join(map(str, struct.values()))


def from_milliseconds(value: object) -> datetime | None:
    """Return milliseconds since 1970 as a time, None for None."""
    if value is None:
        return None
    return _moment(value, _MILLISECOND, "time.invalid")


def field_schema(schema: object, name: str) -> Object | None:
    """Return the schema of one field of a struct's schema."""
    fields = schema.get("fields") if type(schema) is dict else None
    if type(fields) is not list:
        return None
    return next((field for field in fields if type(field) is dict and field.get("field") == name), None)


def interpret(value: Any, schema: object) -> Any:  # Any: JSON in, JSON out
    """Return `value` with what its schema explains put in plain JSON; raises `WireError`."""
    if value is None or type(schema) is not dict:
        return value
    name = schema.get("name")
    read = _SEMANTIC.get(name) if type(name) is str else None
    if read is not None:
        return read(value, schema)
    if type(value) is dict and schema.get("type") == "struct":
        return {key: interpret(item, field_schema(schema, key)) for key, item in value.items()}
    if type(value) is list:
        return [interpret(item, schema.get("items")) for item in value]
    return value


def _decimal(value: object, schema: Object) -> float:
    parameters = schema.get("parameters")
    scale = parameters.get("scale") if type(parameters) is dict else None
    return _number(value, scale)


def _variable_decimal(value: object, schema: Object) -> float:  # noqa: ARG001 - one shape for all readers
    if type(value) is not dict:
        raise _misfit(value, "a decimal of variable scale")
    return _number(value.get("value"), value.get("scale"))


def _number(unscaled: object, scale: object) -> float:
    """Return an unscaled big-endian two's complement number as int (scale 0, 64 bits) or float."""
    try:
        whole = int.from_bytes(b64decode(str(unscaled), validate=True), "big", signed=True)
        places = int(str(scale))
        number = float(Decimal(whole).scaleb(-places))
    except (ValueError, ArithmeticError) as error:
        raise _misfit(unscaled, "a decimal") from error
    return whole if places == 0 and -(2**63) <= whole < 2**63 else number


def _date(value: object, schema: Object) -> str:  # noqa: ARG001 - one shape for all readers
    return _moment(value, timedelta(days=1)).date().isoformat()


def _time(unit: timedelta) -> Callable[[object, Object], str]:
    return lambda value, schema: _moment(value, unit).time().isoformat()  # noqa: ARG005 - as above


def _timestamp(unit: timedelta) -> Callable[[object, Object], str]:
    digits = "milliseconds" if unit == _MILLISECOND else "microseconds"
    return lambda value, schema: _iso(_moment(value, unit), digits)  # noqa: ARG005 - as above


def _nanoseconds(value: object, schema: Object) -> str:  # noqa: ARG001 - as above
    moment = _moment(value // 1000 if type(value) is int else value, timedelta(microseconds=1))
    return _iso(moment, "microseconds")


def _iso(moment: datetime, digits: str) -> str:
    """Return the text that Debezium itself writes with `time.precision.mode=isostring`."""
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def _moment(value: object, unit: timedelta, reason: str = "connect.invalid") -> datetime:
    if type(value) is not int:
        raise WireError(reason, f"the time {shown(value)} is not a whole number since 1970")
    try:
        return _EPOCH + value * unit
    except OverflowError as error:
        raise WireError(reason, f"the time {shown(value)} is beyond the year 9999") from error


def _misfit(value: object, what: str) -> WireError:
    return WireError("connect.invalid", f"{shown(value)} is not {what}, which its schema says it is")


_SEMANTIC: Mapping[str, Callable[[Any, Object], Any]] = {
    "org.apache.kafka.connect.data.Decimal": _decimal,
    "io.debezium.data.VariableScaleDecimal": _variable_decimal,
    "org.apache.kafka.connect.data.Date": _date,
    "io.debezium.time.Date": _date,
    "org.apache.kafka.connect.data.Time": _time(_MILLISECOND),
    "io.debezium.time.Time": _time(_MILLISECOND),
    "io.debezium.time.MicroTime": _time(_MICROSECOND),
    "org.apache.kafka.connect.data.Timestamp": _timestamp(_MILLISECOND),
    "io.debezium.time.Timestamp": _timestamp(_MILLISECOND),
    "io.debezium.time.MicroTimestamp": _timestamp(_MICROSECOND),
    "io.debezium.time.NanoTimestamp": _nanoseconds,
}
