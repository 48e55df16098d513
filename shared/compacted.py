"""A compacted topic as a dictionary: read to its end, then followed."""

import structlog

from shared.following import Follower
from shared.records import Record
from shared.settings import Settings

log = structlog.get_logger()


class CompactedTopic(Follower):
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


async def read_once(settings: Settings, topic: str) -> CompactedTopic:
    """Return the topic as it is now, read to its end and no longer followed."""
    whole = CompactedTopic(settings, topic)
    try:
        await whole.start()
    finally:
        await whole.stop()
    return whole
