"""A small topic, read from its beginning and followed for as long as its reader lives."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Self

import structlog

from shared.errors import TransientError
from shared.kafka.client import partition_counts, wait_for_broker
from shared.kafka.consumer import Edges, RecordConsumer, intact
from shared.kafka.metadata import TopicMetadata, describe
from shared.pauses import pauses
from shared.records import Partition, Record
from shared.settings import Settings

POLL = timedelta(milliseconds=500)
PAUSE = timedelta(seconds=2)
log = structlog.get_logger()


class TailingConsumer:
    """Calls `take` with every record, in order a partition; after an outage it may see some again.

    Partitions that are added are read too. A topic that is made anew is read from its beginning; what was
    taken of the one before stays.
    """

    def __init__(self, settings: Settings, topic: str, take: Callable[[Record], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._take = take
        self.positions: dict[Partition, int] = {}
        """The next offset of every partition."""
        self._known = TopicMetadata()
        self._changed = asyncio.Event()
        self._consumer: RecordConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    look_every = timedelta(seconds=20)
    """How often the broker is asked what the topic is now."""

    async def start(self) -> None:
        """Read everything there is; returns when that was taken, and keeps following."""
        await wait_for_broker(self._settings, [self._topic])
        consumer = RecordConsumer(self._settings)
        await consumer.start()
        self._consumer = consumer
        edges = await self._attach(consumer, await self._described())
        while [at for at, (_, end) in edges.items() if self.positions[at] < end]:
            await self._read(consumer)
        self._task = asyncio.create_task(self._follow(consumer), name=f"follow {self._topic}")

    async def exists(self) -> bool:
        """Whether there is such a topic; raises `TransientError` when the broker is away."""
        return (await partition_counts(self._settings, [self._topic]))[self._topic] > 0

    async def once(self) -> Self:
        """Read everything there is, and do not follow."""
        try:
            await self.start()
        finally:
            await self.stop()
        return self

    async def _described(self) -> TopicMetadata:
        return (await describe(self._settings, [self._topic])).topics.get(self._topic, TopicMetadata())

    async def _attach(self, consumer: RecordConsumer, topic: TopicMetadata) -> Mapping[Partition, Edges]:
        """Read every partition: one that is read already goes on, unless the topic is another one."""
        partitions = [Partition(self._topic, number) for number in range(topic.partitions)]
        known = self.positions if topic.identity == self._known.identity else {}
        consumer.assign(partitions)
        edges = await consumer.edges(partitions)
        self.positions = {
            partition: known.get(partition, beginning) for partition, (beginning, _) in edges.items()
        }
        for partition, position in self.positions.items():
            consumer.seek(partition, position)
        self._known = topic
        return edges

    async def _look(self, consumer: RecordConsumer) -> None:
        topic = await self._described()
        if topic.partitions and topic != self._known:
            log.warning(
                "topic.changed", topic=self._topic, partitions=topic.partitions, identity=topic.identity
            )
            await self._attach(consumer, topic)

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            pauses.end(self)
        if self._consumer is not None:
            await self._consumer.stop()

    async def wait(self) -> None:
        """Raise what made the follower fail."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def wait_change(self) -> None:
        """Return when something was read since the last call (of one caller)."""
        await self._changed.wait()
        self._changed.clear()

    async def _follow(self, consumer: RecordConsumer) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            try:
                await self._read(consumer)
                if loop.time() - looked >= self.look_every.total_seconds():
                    looked = loop.time()
                    await self._look(consumer)
            except TransientError as error:
                pauses.begin(self, self._topic, error)
                log.warning("topic.unreadable", topic=self._topic, reason=str(error))
                await asyncio.sleep(PAUSE.total_seconds())
            else:
                pauses.end(self)

    async def _read(self, consumer: RecordConsumer) -> None:
        records = [*intact(await consumer.read(wait=POLL))]
        for record in records:
            self._take(record)
        if records:
            self._changed.set()
        for partition in self.positions:  # they move over what is no record, too
            self.positions[partition] = await consumer.position(partition)
