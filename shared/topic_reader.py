"""Topics from their beginning to where they end now, or in part: for checks, reports and rebuilds.

Workers do not read like this: `shared.loop` does it for them, with offsets that live in their state.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.control import OffsetRange
from shared.adapters.kafka import as_record, connection, partition_counts
from shared.errors import ConfigurationError, TransientError
from shared.records import Partition, Record
from shared.settings import Settings

STALLED = timedelta(seconds=60)
"""A broker that gives nothing for so long, although there is more, is away."""


class TopicReader:
    """Reads topics without a group; `news` may be called again for what was written since.

    Topics that do not exist are left out. Raises `TransientError` when the broker is away.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self.beginnings: Mapping[Partition, int] = {}
        """The first offset there is; above 0, retention has removed what was before."""
        self.ends: Mapping[Partition, int] = {}
        """Where each partition ended at the last call of `news`."""
        self._settings = settings
        self._prefix = settings.topic_prefix
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            **connection(settings), enable_auto_commit=False, auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> Self:
        """Connect, and find the partitions."""
        # Not by the consumer's own `topics()`: it asks for all of them, and remembers none.
        counts = await partition_counts(self._settings, self._topics)
        if counts is None:
            await self._consumer.stop()
            raise TransientError(f"no broker answers at {self._settings.kafka}")
        partitions = [
            TopicPartition(self._prefix + topic, number)
            for topic, count in counts.items()
            for number in range(count)
        ]
        try:
            await self._consumer.start()
            self._consumer.assign(partitions)
            beginnings = await self._consumer.beginning_offsets(partitions) if partitions else {}
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise self._away(error) from error
        self.beginnings = {self._named(at): offset for at, offset in beginnings.items()}
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def news(self) -> AsyncIterator[Record]:
        """Yield what was written since the last call (the first: everything), in order a partition.

        Ends at what was the end when it was called; a few records more may come with it.
        """
        try:
            async for record in self._until(await self._behind()):
                yield record
        except (KafkaError, OSError) as error:
            raise self._away(error) from error

    async def find_ends(self) -> Mapping[Partition, int]:
        """Return where the partitions end now."""
        try:
            await self._behind()
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        return self.ends

    async def within(self, ranges: Iterable[OffsetRange]) -> AsyncIterator[Record]:
        """Yield what is still there of these ranges, one a partition, in order a partition.

        Raises `ConfigurationError` for a range of what is not there (yet).
        """
        ends = await self.find_ends()
        wanted = {Partition(it.topic, it.partition): it for it in ranges if it.start < it.end}
        for partition, it in wanted.items():
            if it.end > ends.get(partition, 0):
                raise ConfigurationError(f"{partition} ends at {ends.get(partition, 0)}, before {it.end}")
        try:
            for partition, it in wanted.items():
                self._consumer.seek(self._at(partition), max(it.start, self.beginnings[partition]))
            async for record in self._until({self._at(named): it.end for named, it in wanted.items()}):
                if record.offset < wanted[record.partition].end:
                    yield record
        except (KafkaError, OSError) as error:
            raise self._away(error) from error

    async def _until(self, waiting: dict[TopicPartition, int]) -> AsyncIterator[Record]:
        """Yield the records up to these ends, and a few more."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while waiting := {at: end for at, end in waiting.items() if await self._consumer.position(at) < end}:
            for records in (await self._consumer.getmany(*waiting, timeout_ms=200)).values():
                for record in records:
                    yield as_record(record, self._prefix)
                heard = loop.time()  # not before: whoever reads may take long over them
            if loop.time() - heard > STALLED.total_seconds():
                raise TransientError(f"{self._settings.kafka} gives nothing, although there is more to read")

    async def last(self) -> AsyncIterator[Record]:
        """Yield the last record of each partition that has one."""
        try:
            await self._behind()
            for named, end in self.ends.items():
                at = self._at(named)
                if end > self.beginnings[named]:
                    self._consumer.seek(at, end - 1)
                    async with asyncio.timeout(STALLED.total_seconds()):
                        record = await self._consumer.getone(at)
                    yield as_record(record, self._prefix)
        except (KafkaError, OSError) as error:
            raise self._away(error) from error

    async def _behind(self) -> dict[TopicPartition, int]:
        """Look where the partitions end, and return those that have more than was read."""
        assigned = list(self._consumer.assignment())
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(assigned) if assigned else {}
        self.ends = {self._named(at): end for at, end in ends.items()}
        return {
            at: end
            for at, end in ends.items()
            if end > self.beginnings[self._named(at)] and await self._consumer.position(at) < end
        }

    def _at(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._prefix + partition.topic, partition.number)

    def _named(self, at: TopicPartition) -> Partition:
        return Partition(at.topic.removeprefix(self._prefix), at.partition)

    def _away(self, error: Exception) -> TransientError:
        return TransientError(f"cannot read from {self._settings.kafka}: {error!r}")
