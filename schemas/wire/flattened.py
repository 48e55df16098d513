"""Rows without an envelope: Debezium's `ExtractNewRecordState`, MongoDB's flattening, a JDBC connector.

What the transformation adds (`__op`, `__deleted`, `__lsn`, `__source_ts_ms`, ..., in the row or in headers)
says what was done, and when; it is no attribute. Without any of it, a flat object is a row when the message
key is a Connect key struct, and each is an upsert: a row that is gone then comes as a tombstone.
"""

from schemas.wire import connect, debezium
from schemas.wire.change import Draft, Envelope
from schemas.wire.rows import read_row
from schemas.wire.skipped import SkippedMessage
from schemas.wire.source_block import is_metadata, metadata
from schemas.wire.strict_json import Object

_OTHER_FORMS = frozenset({"op", "fields", "_source", "_op_type"})


def matches(message: Object, envelope: Envelope) -> bool:
    """Whether this is a row: with what the transformation adds, or with a key struct and no other marks."""
    if "__op" in message or "__deleted" in message or "__op" in envelope.headers:
        return True
    if not message or not _OTHER_FORMS.isdisjoint(message):
        return False
    return any(map(is_metadata, message)) or connect.key_struct(envelope.key) is not None


def read(message: Object, envelope: Envelope, schema: object = None) -> Draft:
    """Read one row; `schema` is the wrapper's, when there was one."""
    event, source = metadata(message, envelope)
    if event.get("op") == "t":
        raise SkippedMessage("truncate", source)
    if event.get("op") == "r":
        source.setdefault("snapshot", "true")
    deleted = event.get("op") == "d" or event.get("deleted") in ("true", True)
    draft = debezium.stamped(source, event.get("ts_ms"), "delete" if deleted else "upsert")
    row = {name: value for name, value in message.items() if not is_metadata(name)}
    key = debezium.identify(draft, envelope, row)
    draft.form = "flattened"
    return draft if deleted else debezium.written(draft, read_row(row, schema, key))
