"""Messages among catalogue changes that are none: a connector's own, which are counted and skipped."""

from typing import Literal

from schemas.wire.strict_json import Object

Kind = Literal["heartbeat", "transaction", "schema_change", "logical_message", "notification", "truncate"]

_OPERATIONS: dict[object, Kind] = {"t": "truncate", "m": "logical_message"}


class SkippedMessage(Exception):  # noqa: N818 - it is no error: nobody did anything wrong
    """This message changes no product; `source` says where a truncate happened (its source block)."""

    def __init__(self, kind: Kind, source: Object | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.source = source


def check(message: Object) -> None:
    """Raise `SkippedMessage` for a heartbeat, the bounds of a transaction, a table's new definition, ..."""
    kind = _kind(message)
    if kind is not None:
        source = message.get("source")
        raise SkippedMessage(kind, source if type(source) is dict else None)


def _kind(message: Object) -> Kind | None:
    op = message.get("op")
    if op is not None:
        return _OPERATIONS.get(op) if type(op) is str and "source" in message else None
    if message.keys() == {"ts_ms"}:
        return "heartbeat"
    if message.get("status") in ("BEGIN", "END") and {"id", "event_count"} <= message.keys():
        return "transaction"
    if "ddl" in message and ("databaseName" in message or "tableChanges" in message):
        return "schema_change"
    if {"aggregate_type", "type", "id"} <= message.keys() and "additional_data" in message:
        return "notification"
    return None
