"""What a stream gives: one message of a topic, where it lies, or why it is none."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from headrace.errors import UnreadableError
from schemas.base import Message
from schemas.search import SearchEvent, SearchQuery
from schemas.wire import WireError, decode_event, decode_message, decode_query
from shared.records import Record

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Entry(Generic[M]):
    """One record of a topic. Of a compacted topic the last entry of a key says how it stands."""

    key: str
    partition: int
    offset: int
    written_at: datetime
    """When the broker appended it."""
    stated: M | None = None
    unreadable: str = ""
    """Why it is no message; empty: it is one, or a removal."""

    @property
    def removed(self) -> bool:
        """Whether it says that there is nothing of its key any more (a tombstone)."""
        return self.stated is None and not self.unreadable

    @property
    def message(self) -> M:
        """The message; raises `UnreadableError` when it is none, and `LookupError` when it is a removal."""
        if self.stated is not None:
            return self.stated
        where = f"offset {self.offset} of partition {self.partition}, key {self.key!r}"
        if self.unreadable:
            raise UnreadableError("message.unreadable", f"{where}: {self.unreadable}")
        raise LookupError(f"{where} says that the key was removed: look at `removed` first")


def entry(kind: type[M], record: Record) -> Entry[M]:
    """Return what a record says."""
    key = (record.key or b"").decode("utf-8", "backslashreplace")
    at = (key, record.partition.number, record.offset, record.timestamp)
    if record.damage is not None:
        return Entry(*at, unreadable=f"{record.damage.reason}: {record.damage.explanation}")
    if record.value is None:
        return Entry(*at)
    try:
        return Entry(*at, _decoded(kind, record.value))
    except WireError as error:
        return Entry(*at, unreadable=str(error))


def _decoded(kind: type[Message], value: bytes) -> Any:  # Any: of that kind
    if issubclass(kind, SearchEvent):
        return decode_event(value)
    if issubclass(kind, SearchQuery):
        return decode_query(value)
    return decode_message(kind, value)
