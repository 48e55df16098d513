"""A small topic, read from its beginning and followed for as long as its reader lives."""

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.adapters.consumer import Consumer
from shared.adapters.kafka import as_record, connection, wait_for_broker
from shared.records import Record
from shared.settings import Settings


class Follower:
    """Calls `take` with every record, in order a partition; after an outage it may see some again."""

    def __init__(self, settings: Settings, topic: str, take: Callable[[Record], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._take = take
        self._changed = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read everything there is; returns when that was taken, and keeps following."""
        counts = await wait_for_broker(self._settings, [self._topic])
        consumer = Consumer(**connection(self._settings), auto_offset_reset="earliest")
        self._consumer = consumer
        await consumer.start()
        name = self._settings.topic_prefix + self._topic
        self._partitions = [TopicPartition(name, number) for number in range(counts[self._topic])]
        consumer.assign(self._partitions)
        ends = await consumer.end_offsets(self._partitions)
        await consumer.seek_to_beginning(*self._partitions)
        while [at for at in self._partitions if await consumer.position(at) < ends[at]]:
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
        """Return when something was read since the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._read(consumer)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                self._take(as_record(record, self._settings.topic_prefix))
            self._changed.set()
