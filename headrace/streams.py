"""Topics that users read, record by record; nothing is committed, and nothing passed over in silence.

Reading by `shared.kafka` sees what is committed, and changes aiokafka's consumers of this process so.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Literal, Self, TypeVar

from aiokafka.errors import ConsumerStoppedError

from headrace.entries import Entry, entry
from headrace.errors import PositionGoneError
from schemas.base import Message, milliseconds
from shared.errors import TransientError
from shared.kafka.client import require_topics
from shared.kafka.consumer import Edges, OffsetGoneError, RecordConsumer
from shared.patience import hurrying
from shared.records import Partition, Record
from shared.settings import Settings

M = TypeVar("M", bound=Message)
POLL = timedelta(milliseconds=500)
RETRY = timedelta(seconds=1)
SILENT_FOR = timedelta(minutes=1)
"""A broker that is away while a topic is read is waited for so long."""

Since = Literal["beginning", "now"] | datetime | Mapping[int, int]
"""Where to begin: what is there, what comes, what was appended from a moment on, or at these offsets."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Which part of a topic is read."""

    since: Since = "beginning"
    follow: bool = True
    """Whether to go on behind what was there at the start."""
    patience: timedelta | None = None
    """Stop when nothing came for so long; None: wait for ever."""


class AsyncStream(Generic[M]):
    """One topic, in order a partition; `async for` gives an `Entry` each. `close` or `async with` ends it.

    `positions` is what is read next of each partition: given as `since`, another stream goes on there.
    """

    def __init__(self, settings: Settings, kind: type[M], extent: Extent) -> None:
        self.positions: dict[int, int] = {}
        self._settings = settings
        self._kind = kind
        self._extent = extent
        self._consumer: RecordConsumer | None = None
        self._ends: Mapping[Partition, int] = {}
        self._closed = False
        self._reading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Return itself; it connects at the first entry."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Entry[M]]:
        """Yield the entries; disconnects at the end."""
        try:
            while entries := await self.some():
                for one in entries:
                    self.positions[one.partition] = one.offset + 1
                    yield one
        finally:
            await self.close()

    async def close(self) -> None:
        """Disconnect; who waits for an entry gets none."""
        self._closed = True
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def some(self) -> list[Entry[M]]:
        """Wait for what comes next; nothing: the stream is at its end, or closed.

        Raises `TransientError` when the broker is away for long, and `PositionGoneError` when the topic does
        not have what is to be read next.
        """
        async with self._reading:
            if self._closed:
                return []
            if self._consumer is None:
                self._consumer = await self._begin()
            return [entry(self._kind, record) for record in await self._records(self._consumer)]

    async def _records(self, consumer: RecordConsumer) -> list[Record]:
        loop = asyncio.get_running_loop()
        heard = answered = loop.time()
        while not self._closed and not await self._is_over(consumer, loop.time() - heard):
            try:
                records = await consumer.read(wait=self._wait())
            except ConsumerStoppedError:  # by `close`
                break
            except OffsetGoneError as error:
                raise PositionGoneError(f"{error}: begin at 'beginning'") from error
            except TransientError:
                if loop.time() - answered > SILENT_FOR.total_seconds():
                    raise
                await asyncio.sleep(RETRY.total_seconds())
                continue
            answered = loop.time()
            if records:
                return records
        return []

    def _wait(self) -> timedelta:
        patience = self._extent.patience
        return POLL if patience is None else min(POLL, patience)

    async def _is_over(self, consumer: RecordConsumer, silence: float) -> bool:
        """Say whether nothing more is to come."""
        patience = self._extent.patience
        if patience is not None and silence >= patience.total_seconds():
            return True
        if self._extent.follow:
            return False
        return all([await consumer.position(at) >= end for at, end in self._ends.items()])

    async def _begin(self) -> RecordConsumer:
        topic = self._kind.topic
        with hurrying():
            count = (await require_topics(self._settings, [topic]))[topic]
        consumer = RecordConsumer(self._settings, reset="none")
        await consumer.start()
        try:
            partitions = [Partition(topic, number) for number in range(count)]
            consumer.assign(partitions)
            edges = await consumer.edges(partitions)
            for at in partitions:
                self.positions[at.number] = await self._start(consumer, at, edges[at])
                consumer.seek(at, self.positions[at.number])
        except BaseException:
            await consumer.stop()
            raise
        self._ends = {at: end for at, (_, end) in edges.items()}
        return consumer

    async def _start(self, consumer: RecordConsumer, at: Partition, edges: Edges) -> int:
        since, (first, end) = self._extent.since, edges
        if since == "beginning":
            return first
        if since == "now":
            return end
        if isinstance(since, datetime):
            offset = await consumer.offset_at(at, milliseconds(since))
            return end if offset is None else offset
        assert isinstance(since, Mapping)  # noqa: S101 - what is left
        wanted = since.get(at.number, first)
        if not first <= wanted <= end:
            raise PositionGoneError(
                f"{at} has offsets {first} to {end}, not {wanted}: retention removed it, or the topic was "
                "made anew; begin at 'beginning'"
            )
        return wanted
