"""How a message names its schema: five bytes before it, or a header (Confluent's wire format).

Before: a zero byte and the id, 4 bytes. Header: `__value_schema_id` or `__key_schema_id` with the same five
bytes, or with a one and the schema's GUID, 16 bytes.
"""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from shared.records import Record

SchemaId = int | UUID
VALUE_HEADER = "__value_schema_id"
KEY_HEADER = "__key_schema_id"
HIGHEST_ID = 2**31 - 1
LONG_BYTES = 8


class Framed(NamedTuple):
    """The schema that bytes name, and what it explains (for Protobuf the indexes of the message first)."""

    schema_id: SchemaId
    payload: bytes


class SchemaUse(NamedTuple):
    """A schema that a record names; whether the record is worth nothing without it."""

    schema_id: SchemaId
    required: bool


def value_of(record: Record) -> Framed | None:
    """Return the record's value as framed bytes; None when it names no schema."""
    return _framed(record.value, record.header(VALUE_HEADER) if record.headers else None)


def key_of(record: Record) -> Framed | None:
    """Return the record's key as framed bytes; None when it names no schema."""
    return _framed(record.key, record.header(KEY_HEADER) if record.headers else None)


def uses(record: Record) -> Iterator[SchemaUse]:
    """Yield the schemas that the record names.

    A key may only look framed: beside a value that is none its number may be anything, and eight bytes are
    also what Java's LongSerializer writes. Such a key is read by its schema if there is one.
    """
    if record.damage is not None:
        return
    value, key = value_of(record), key_of(record)
    if value is not None:
        yield SchemaUse(value.schema_id, required=True)
    if key is not None:
        yield SchemaUse(key.schema_id, required=is_key_framed(record))


def is_key_framed(record: Record) -> bool:
    """Whether a key that looks framed surely is."""
    is_alone = record.value is None or value_of(record) is not None
    return is_alone and len(record.key or b"") != LONG_BYTES


def _framed(data: bytes | None, header: bytes | None) -> Framed | None:
    if data is None:
        return None
    if header is not None:
        return _by_header(data, header)
    if data[:1] == b"\0" and len(data) >= 5:
        return Framed(int.from_bytes(data[1:5], "big"), data[5:])
    return None


def _by_header(data: bytes, header: bytes) -> Framed | None:
    if header[:1] == b"\0" and len(header) >= 5:
        return Framed(int.from_bytes(header[1:5], "big"), header[5:] + data)
    if header[:1] == b"\1" and len(header) >= 17:
        return Framed(UUID(bytes=header[1:17]), header[17:] + data)
    return None
