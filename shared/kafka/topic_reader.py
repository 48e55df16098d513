"""Topics from their beginning to where they end now, or in part: for checks, reports and rebuilds.

Workers do not read like this: `shared.streaming.loop` reads for them, with offsets that live in their state.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Self

from schemas.control import OffsetRange
from shared.errors import ConfigurationError, TransientError
from shared.kafka.client import partition_counts
from shared.kafka.consumer import RecordConsumer, intact
from shared.records import Partition, Record
from shared.settings import Settings

POLL = timedelta(milliseconds=200)
STALLED = timedelta(seconds=60)
"""A broker that gives nothing for so long, although there is more, is away."""


class TopicReader:
    """Reads topics without a group; `news` may be called again for what was written since.

    Topics that do not exist are left out; with `number`, only that partition of each is read. Raises
    `TransientError` when the broker is away. Records that cannot be used (`Record.damage`) are logged and
    left out, but of the topics `damaged`.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        *,
        damaged: Collection[str] = (),
        number: int | None = None,
    ) -> None:
        self.beginnings: Mapping[Partition, int] = {}
        """The first offset there is; above 0, retention has removed what was before."""
        self.ends: Mapping[Partition, int] = {}
        """Where each partition ended at the last call of `news`."""
        self._settings = settings
        self._topics = topics
        self._damaged = damaged
        self._number = number
        self._consumer: RecordConsumer

    async def __aenter__(self) -> Self:
        """Connect, and find the partitions."""
        # Not by the consumer's own `topics()`: it asks for all of them, and remembers none.
        counts = await partition_counts(self._settings, self._topics)
        partitions = [
            Partition(topic, number)
            for topic, count in counts.items()
            for number in range(count)
            if self._number in {None, number}
        ]
        self._consumer = RecordConsumer(self._settings)
        await self._consumer.start()
        try:
            self._consumer.assign(partitions)
            edges = await self._consumer.edges(partitions)
        except BaseException:
            await self._consumer.stop()
            raise
        self.beginnings = {partition: beginning for partition, (beginning, _) in edges.items()}
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def news(self) -> AsyncIterator[Record]:
        """Yield what was written since the last call (the first: everything), in order a partition.

        Ends at what was the end when it was called; a few records more may come with it.
        """
        async for record in self._until(await self._behind()):
            yield record

    async def offset_at(self, partition: Partition, moment: int) -> int | None:
        """Return the first offset appended then (milliseconds since 1970) or later; None: nothing was."""
        return await self._consumer.offset_at(partition, moment)

    async def since(self, moment: int) -> AsyncIterator[Record]:
        """Yield what was appended then (milliseconds since 1970) or later, to where the partitions end now.

        In order a partition; a few records that were appended before may come with it.
        """
        waiting: dict[Partition, int] = {}
        for partition, end in (await self.find_ends()).items():
            first = await self.offset_at(partition, moment)
            if first is not None and first < end:
                self._consumer.seek(partition, first)
                waiting[partition] = end
        async for record in self._until(waiting):
            yield record

    async def begin_at(self, moment: int) -> None:
        """Have `news` begin with what was appended then (milliseconds since 1970) or later."""
        for partition, end in (await self.find_ends()).items():
            first = await self.offset_at(partition, moment)
            self._consumer.seek(partition, end if first is None else first)

    def rewind(self, topic: str) -> None:
        """Read a topic from its beginning again, at the next call of `news`."""
        for partition, beginning in self.beginnings.items():
            if partition.topic == topic:
                self._consumer.seek(partition, beginning)

    async def find_ends(self) -> Mapping[Partition, int]:
        """Return where the partitions end now."""
        self.ends = await self._consumer.ends(self.beginnings)
        return self.ends

    async def within(self, ranges: Iterable[OffsetRange]) -> AsyncIterator[Record]:
        """Yield what is still there of these ranges, one a partition, in order a partition.

        Raises `ConfigurationError` for a range of what is not there (yet).
        """
        ends = await self.find_ends()
        wanted = {Partition(part.topic, part.partition): part for part in ranges if part.start < part.end}
        for partition, part in wanted.items():
            if part.end > ends.get(partition, 0):
                raise ConfigurationError(f"{partition} ends at {ends.get(partition, 0)}, before {part.end}")
        for partition, part in wanted.items():
            self._consumer.seek(partition, max(part.start, self.beginnings[partition]))
        async for record in self._until({partition: part.end for partition, part in wanted.items()}):
            if record.offset < wanted[record.partition].end:
                yield record

    async def _until(self, waiting: Mapping[Partition, int]) -> AsyncIterator[Record]:
        """Yield the records up to these ends, and a few more."""
        loop, before = asyncio.get_running_loop(), dict[Partition, int]()
        heard = loop.time()
        while waiting := {at: end for at, end in waiting.items() if await self._consumer.position(at) < end}:
            positions = {at: await self._consumer.position(at) for at in waiting}
            if positions != before:  # over offsets without records too
                heard, before = loop.time(), positions
            elif loop.time() - heard > STALLED.total_seconds():
                raise TransientError(f"{self._settings.kafka} gives nothing, although there is more to read")
            records = await self._consumer.read(*waiting, wait=POLL)
            for record in intact(records, but_of=self._damaged):
                yield record

    async def last(self, *, but_tombstones: bool = False) -> AsyncIterator[Record]:
        """Yield the last record of each partition that has one; `but_tombstones`: with a value."""
        for partition, end in (await self.find_ends()).items():
            record: Record | None = None
            back = 1
            while record is None and end - back // 2 > self.beginnings[partition]:
                self._consumer.seek(partition, max(self.beginnings[partition], end - back))
                async for latest in self._until({partition: end}):
                    record = record if but_tombstones and latest.value is None else latest
                back *= 2  # in case that there were only offsets without records
            if record is not None:
                yield record

    async def open_transactions(self) -> Mapping[Partition, int]:
        """Return the partitions that go on behind where they end now, and how many offsets wait there."""
        written, ends = await self._consumer.written(self.beginnings), await self.find_ends()
        return {at: written[at] - end for at, end in ends.items() if written[at] > end}

    async def _behind(self) -> dict[Partition, int]:
        """Look where the partitions end, and return those that have more than was read."""
        return {
            partition: end
            for partition, end in (await self.find_ends()).items()
            if end > self.beginnings[partition] and await self._consumer.position(partition) < end
        }
