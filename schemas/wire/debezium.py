"""Debezium change events, with or without Connect's schema wrapper.

`r`, `c` and `u` carry the whole row in `after`: an upsert. `d` is a delete. The product id is the key
struct's value (several columns: joined by `:`), else the text of the key, else the row's `product_id` or
`id`. What orders it is in `source` (see `stamps`), else its event time: `source.ts_ms`, else `ts_ms`.
What MongoDB's connector writes in `after`, `patch` and `updateDescription` is read in `mongodb`.
"""

from collections.abc import Mapping

from schemas.base import MILLISECOND
from schemas.catalogue import Operation
from schemas.wire import connect, mongodb
from schemas.wire.calendar import moment_at
from schemas.wire.change import Draft, Envelope, read_operation
from schemas.wire.connect_types import field_schemas
from schemas.wire.errors import WireError, shown
from schemas.wire.rows import Row, key_of, read_row
from schemas.wire.strict_json import Object

OPERATIONS: Mapping[str, Operation] = {"r": "upsert", "c": "upsert", "u": "upsert", "d": "delete"}


def matches(message: Object) -> bool:
    """Whether the object has this form's marks (`op` alone is also ours)."""
    return "op" in message and ("after" in message or "before" in message or "source" in message)


def read(message: Object, envelope: Envelope, schema: object = None) -> Draft:
    """Read one row change; `schema` is the wrapper's, when there was one."""
    op = read_operation(message.get("op"), OPERATIONS)
    image = "before" if op == "delete" else "after"
    row = message.get(image)
    if mongodb.matches(message):
        row = mongodb.document(row)
    if row is not None and type(row) is not dict:
        raise WireError("debezium.invalid", f"{image!r} is {shown(row)}, not a row")
    source = message.get("source")
    draft = stamped(source if type(source) is dict else {}, message.get("ts_ms"), op)
    key = identify(draft, envelope, row or {})
    if op == "delete":
        return draft
    if row is None and mongodb.is_partial(message):
        draft.op, draft.fields = "patch", mongodb.read_update(message)
        return draft
    if row is None:
        raise WireError(
            "debezium.invalid", f"operation {message['op']!r} without 'after': send the whole row"
        )
    return written(draft, read_row(row, field_schemas(schema).get(image), key))


def stamped(source: Object, made_at: object, op: Operation) -> Draft:
    """Return a draft with what the source block says of its place and time; `made_at` is the envelope's."""
    moment = source.get("ts_ms") if source.get("ts_ms") is not None else made_at
    return Draft(
        "debezium",
        None,
        op,
        event_time=None if moment is None else _moment(moment),
        source=source or None,
    )


def identify(draft: Draft, envelope: Envelope, row: Object) -> Object:
    """Give the draft its product id, and return the columns of the key."""
    key = connect.key_struct(envelope.key)
    if key is not None:
        draft.product_id = connect.identity(key)
        return key
    key = key_of(row)
    try:
        stated = connect.key_identity(envelope.key)
    except WireError:
        if not key:
            raise
        stated = None
    draft.product_id = stated or connect.identity(key)
    return key


def written(draft: Draft, row: Row) -> Draft:
    """Give the draft the attributes of its row."""
    draft.fields, draft.kept = row
    return draft


def _moment(value: object) -> object:
    return moment_at(value, MILLISECOND) if type(value) is int else value
