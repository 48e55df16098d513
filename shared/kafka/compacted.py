"""A compacted topic as a dictionary: read to its end, then followed."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

import structlog
from pydantic import ValidationError

from schemas.base import Message
from shared.kafka.client import require_topics
from shared.kafka.tail import TailingConsumer
from shared.records import Record
from shared.settings import Settings

log = structlog.get_logger()
M = TypeVar("M", bound=Message)


class CompactedTopic(TailingConsumer):
    """The last value of each key; a tombstone removes its key."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.items: dict[bytes, bytes] = {}
        self.records: dict[bytes, Record] = {}
        """The whole record behind each item, for those who must say where it lies."""
        super().__init__(settings, topic, self._keep)

    def _keep(self, record: Record) -> None:
        if record.key is None:
            log.warning("compacted.no_key", topic=record.partition.topic, offset=record.offset)
        elif record.value is None:
            self.items.pop(record.key, None)
            self.records.pop(record.key, None)
        else:
            self.items[record.key] = record.value
            self.records[record.key] = record


def read_item(kind: type[M], value: bytes | None) -> M | None:
    """Return the message; None: there is none, or it is none of this kind, which is told once."""
    if value is None:
        return None
    try:
        return kind.decode(value)
    except ValidationError as error:
        _tell(kind.topic, hash(value), str(error.errors()[0]["msg"]))
        return None


@lru_cache(maxsize=1000)
def _tell(topic: str, digest: int, error: str) -> None:
    log.warning("compacted.unreadable", topic=topic, digest=digest, error=error)


def read_items(kind: type[M], values: Iterable[bytes]) -> list[M]:
    """Return the messages among these values."""
    return [message for value in values if (message := read_item(kind, value)) is not None]


async def read_once(settings: Settings, topic: str) -> CompactedTopic:
    """Return the topic as it is now, read to its end and no longer followed.

    Raises `TransientError` when no broker answers, it refuses, or it has no such topic.
    """
    await require_topics(settings, [topic])
    return await CompactedTopic(settings, topic).once()
