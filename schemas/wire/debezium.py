"""Debezium change events, with or without Connect's schema wrapper.

`r`, `c` and `u` carry the whole row in `after`: an upsert. `d` is a delete. `t` (truncate) names no row and
is refused. The product id is the key struct's value (several columns: joined by `:`), else the row's
`product_id` or `id`; key columns are not attributes. The version is `source.lsn`, else `source.ts_ms`,
else `ts_ms`; the event time is `source.ts_ms`, else `ts_ms`. A large column that an update left alone
(TOAST) comes as a placeholder: such an update is a patch of the other columns.
"""

from collections.abc import Mapping

from schemas.wire import connect
from schemas.wire.change import Draft, Envelope, Operation, read_operation
from schemas.wire.errors import WireError, shown
from schemas.wire.fields import NONE, read_fields
from schemas.wire.strict_json import Object

OPERATIONS: Mapping[str, Operation] = {"r": "upsert", "c": "upsert", "u": "upsert", "d": "delete"}
UNAVAILABLE = "__debezium_unavailable_value"
_UNAVAILABLE_BYTES = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="
_ID_COLUMNS = ("product_id", "id")


def matches(message: Object) -> bool:
    """Whether the object has this form's marks (`op` alone is also ours)."""
    return "op" in message and ("after" in message or "before" in message or "source" in message)


def read(message: Object, envelope: Envelope, schema: object = None) -> Draft:
    """Read one row change; `schema` is the wrapper's, when there was one."""
    if message.get("op") == "t":
        raise WireError(
            "op.truncate", "a table was emptied: delete its products one by one, or skip truncates"
        )
    op = read_operation(message.get("op"), OPERATIONS)
    image = "before" if op == "delete" else "after"
    row = connect.interpret(message.get(image), connect.field_schema(schema, image))
    if row is not None and type(row) is not dict:
        raise WireError("debezium.invalid", f"{image!r} is {shown(row)}, not a row")
    key = connect.key_struct(envelope.key) or _key_of(row or {})
    draft = _stamped(message, connect.identity(key), op)
    if op == "delete":
        return draft
    if row is None:
        raise WireError(
            "debezium.invalid", f"operation {message['op']!r} without 'after': send the whole row"
        )
    return _with_row(draft, {name: value for name, value in row.items() if name not in key})


def _key_of(row: Object) -> Object:
    """Return the identity of a table without a key struct."""
    return next(({name: row[name]} for name in _ID_COLUMNS if row.get(name) is not None), {})


def _stamped(message: Object, product_id: object, op: Operation) -> Draft:
    source = message.get("source")
    if type(source) is not dict:
        source = {}
    moment = source.get("ts_ms") if source.get("ts_ms") is not None else message.get("ts_ms")
    position = source.get("lsn")
    return Draft(
        "debezium",
        product_id,
        op,
        version=moment if position is None else position,
        event_time=connect.from_milliseconds(moment),
    )


def _with_row(draft: Draft, row: Object) -> Draft:
    known = {name: value for name, value in row.items() if not _is_unavailable(value)}
    if len(known) < len(row):
        draft.op = "patch"
    draft.fields = read_fields(known) if known else NONE
    return draft


def _is_unavailable(value: object) -> bool:
    if type(value) is list:
        return value == [UNAVAILABLE]
    return value in (UNAVAILABLE, _UNAVAILABLE_BYTES) if type(value) is str else False
