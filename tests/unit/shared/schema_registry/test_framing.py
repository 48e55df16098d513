"""Which messages name a schema, and which."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.records import Partition, Record
from shared.schema_registry.framing import KEY_HEADER, VALUE_HEADER, Framed, key_of, uses, value_of

GUID = UUID("b0e1bd0c-55d8-4a44-9f13-fb8b2a1d1b6a")
FIVE = b"\0\0\0\1\2"


def record(key=None, value=b"{}", **headers):
    at = Partition("catalogue.changes.v1", 0)
    named = tuple((name, header) for name, header in headers.items())
    return Record(at, 1, key, value, datetime(2026, 11, 21, tzinfo=UTC), named)


def test_five_bytes_before_a_value_or_a_key_are_an_id():
    assert value_of(record(value=FIVE + b"rest")) == Framed(258, b"rest")
    assert key_of(record(key=FIVE)) == Framed(258, b"")


@pytest.mark.parametrize("value", [None, b"", b"\0", b"\0\0\0\1", b'{"op": "delete"}', b"\1\0\0\0\1"])
def test_anything_else_names_no_schema(value):
    assert value_of(record(value=value)) is None
    assert list(uses(record(value=value))) == []


def test_a_header_names_it_by_id_or_by_guid_and_leaves_the_value_alone():
    by_id = record(value=b"{}", **{VALUE_HEADER: FIVE})
    by_guid = record(value=b"rest", **{VALUE_HEADER: b"\1" + GUID.bytes})
    assert value_of(by_id) == Framed(258, b"{}")
    assert value_of(by_guid) == Framed(GUID, b"rest")
    assert key_of(record(key=b"k", **{KEY_HEADER: b"\1" + GUID.bytes})) == Framed(GUID, b"k")


def test_message_indexes_in_a_header_come_before_the_message():
    assert value_of(record(value=b"rest", **{VALUE_HEADER: b"\1" + GUID.bytes + b"\2\2"})) == Framed(
        GUID, b"\2\2rest"
    )


@pytest.mark.parametrize("header", [b"", b"\1short", b"\0\0", b"\2" + GUID.bytes])
def test_a_header_that_is_none_of_these_names_nothing(header):
    assert value_of(record(value=b"{}", **{VALUE_HEADER: header})) is None


@pytest.mark.parametrize(
    ("key", "value", "required"),
    [
        (FIVE + b"\2a", FIVE + b"x", True),
        (FIVE + b"\2a", None, True),
        (FIVE + b"\2a", b"{}", False),
        ((2**24 + 5).to_bytes(8, "big"), FIVE + b"x", False),
        ((2**24 + 5).to_bytes(8, "big"), None, False),
    ],
    ids=["framed value", "tombstone", "json value", "a long beside a framed value", "a long of a tombstone"],
)
def test_a_key_that_may_be_something_else_is_not_waited_for(key, value, required):
    *_, last = uses(record(key, value))
    assert last.required is required
