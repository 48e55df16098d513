"""The latest messages of a topic, for a person to look at."""

from collections import deque

from schemas.control import OffsetRange
from shared.errors import ConfigurationError
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.settings import Settings


async def latest(settings: Settings, topic: str, *, count: int, key: bytes | None = None) -> list[Record]:
    """Return up to `count` messages, those appended last, in that order; with `key`, only those of it.

    A message is of a key when its key begins with it and ends there, or goes on with a control character.
    Raises `ConfigurationError` when there is no such topic, `TransientError` when the broker is away.
    """
    async with TopicReader(settings, [topic]) as reader:
        if not reader.beginnings:
            raise ConfigurationError(f"there is no topic {topic}: see `headrace topics list`")
        ranges = [
            OffsetRange(
                topic=at.topic,
                partition=at.number,
                start=reader.beginnings[at] if key is not None else max(reader.beginnings[at], end - count),
                end=end,
            )
            for at, end in (await reader.find_ends()).items()
        ]
        matching = deque[Record](maxlen=count) if key is not None else deque[Record]()
        async for record in reader.within(ranges):
            if key is None or _is_of(record.key, key):
                matching.append(record)
    return sorted(matching, key=lambda one: (one.timestamp, one.partition, one.offset))[-count:]


def _is_of(whole: bytes | None, key: bytes) -> bool:
    return whole is not None and whole.startswith(key) and whole[len(key) : len(key) + 1] < b"\x20"
