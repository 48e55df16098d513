"""Debezium's `source` block, put together from where a message has its parts.

The transformation `ExtractNewRecordState` keeps them as `__lsn`, `__source_ts_ms` and the like, in the row or
in headers; the CloudEvents converter as extension attributes, `iodebeziumlsn`, `iodebeziumtsms`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from schemas.wire.change import Envelope
from schemas.wire.errors import WireError
from schemas.wire.strict_json import Object, parse

PREFIX = "__"
CLOUD_EVENTS_PREFIX = "iodebezium"

_NUMBERS = (
    *("ts_ms", "ts_us", "ts_ns", "lsn", "xmin", "txId", "server_id", "pos", "row", "thread"),
    *("event_serial_no", "ord", "h", "tord", "ssn"),
)
_TEXTS = (
    *(
        "version",
        "connector",
        "name",
        "snapshot",
        "db",
        "sequence",
        "schema",
        "table",
        "file",
        "gtid",
        "query",
    ),
    *(
        "change_lsn",
        "commit_lsn",
        "scn",
        "commit_scn",
        "rs_id",
        "rs",
        "collection",
        "stxnid",
        "lsid",
        "txnNumber",
    ),
)
_NAMES = {name.lower(): name for name in (*_NUMBERS, *_TEXTS)}
_BARE = {name.replace("_", ""): original for name, original in _NAMES.items()}
_DIGITS = re.compile(r"[0-9]{1,30}")
_ENVELOPE = {"op", "deleted", "ts_ms", "ts_us", "ts_ns"}


def is_metadata(name: str) -> bool:
    """Whether a column is one that `ExtractNewRecordState` adds, and not the table's."""
    if not name.startswith(PREFIX):
        return False
    field = name[len(PREFIX) :]
    return field in _ENVELOPE or field.startswith("transaction_") or _name_of(field) is not None


class Metadata(NamedTuple):
    """What `ExtractNewRecordState` adds: `op`, `deleted`, `ts_ms`, ... of the event, and its source block."""

    event: Object
    source: Object


def metadata(row: Mapping[str, object], envelope: Envelope) -> Metadata:
    """Return what the row has of it, else the message's headers."""
    event: Object = {}
    source: Object = {}
    for name, value in (*_of_headers(envelope), *row.items()):
        if not name.startswith(PREFIX):
            continue
        field = name[len(PREFIX) :]
        if field in _ENVELOPE:
            event[field] = value
        elif (original := _name_of(field)) is not None:
            source[original] = value
    return Metadata(event, _typed(source))


def cloud_events_source(attributes: Mapping[str, object]) -> Object:
    """Return the source block that extension attributes state; those of transactions are none of it."""
    stated = {
        _BARE.get(name.removeprefix(CLOUD_EVENTS_PREFIX)): value
        for name, value in attributes.items()
        if name.startswith(CLOUD_EVENTS_PREFIX)
    }
    return _typed({name: value for name, value in stated.items() if name is not None})


def _name_of(field: str) -> str | None:
    """Return the name within the source block of `lsn` or `source_lsn`, None for any other."""
    return _NAMES.get(field.lower().removeprefix("source_"))


def _of_headers(envelope: Envelope) -> Iterator[tuple[str, object]]:
    for name in envelope.headers:
        if is_metadata(name):
            yield name, _scalar(envelope.header(name))


def _scalar(text: str | None) -> object:
    """Return a header's value: text, or what Connect's JSON converter made of it."""
    if text is None or text[:1] not in ('"', "{"):
        return text
    try:
        value = parse(text.encode())
    except WireError:
        return text
    return value.get("payload") if type(value) is dict and "payload" in value else value


def _typed(source: Mapping[str, object]) -> Object:
    """Return what is stated of a source block, its numbers as such."""
    return {name: _number(name, value) for name, value in source.items() if value is not None}


def _number(name: str, value: object) -> object:
    digits = name in _NUMBERS and type(value) is str and _DIGITS.fullmatch(value)
    return int(digits[0]) if digits else value
