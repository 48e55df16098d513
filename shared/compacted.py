"""A compacted topic as a dictionary: read to its end, then followed."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.adapters.consumer import Consumer
from shared.adapters.kafka import as_record, connection, wait_for_broker
from shared.records import Record
from shared.settings import Settings

log = structlog.get_logger()


class CompactedTopic:
    """The last value of each key; a tombstone removes its key."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.items: dict[bytes, bytes] = {}
        self.records: dict[bytes, Record] = {}
        """The whole record behind each item, for those who must say where it lies."""
        self._settings = settings
        self._topic = topic
        self._changed = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read everything there is; returns when `items` is complete, and keeps following."""
        counts = await wait_for_broker(self._settings, [self._topic])
        consumer = Consumer(**connection(self._settings), auto_offset_reset="earliest")
        self._consumer = consumer
        await consumer.start()
        name = self._settings.topic_prefix + self._topic
        partitions = [TopicPartition(name, number) for number in range(counts[self._topic])]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while [at for at in partitions if await consumer.position(at) < ends[at]]:
            await self._read(consumer)
        self._task = asyncio.create_task(self._follow(consumer), name=f"follow {self._topic}")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def wait(self) -> None:
        """Raise what made the follower fail."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def wait_change(self) -> None:
        """Return when `items` has changed since the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._read(consumer)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                self._take(record)
            self._changed.set()

    def _take(self, record: ConsumerRecord) -> None:
        if record.key is None:
            log.warning("compacted.no_key", topic=self._topic, offset=record.offset)
        elif record.value is None:
            self.items.pop(record.key, None)
            self.records.pop(record.key, None)
        else:
            self.items[record.key] = record.value
            self.records[record.key] = as_record(record, self._settings.topic_prefix)


async def read_once(settings: Settings, topic: str) -> CompactedTopic:
    """Return the topic as it is now, read to its end and no longer followed."""
    whole = CompactedTopic(settings, topic)
    try:
        await whole.start()
    finally:
        await whole.stop()
    return whole
