"""One partition in memory: its log, the part of a consumer that a reader uses, and a handler that keeps."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from shared.errors import PoisonError, SkippedError, TransientError
from shared.kafka.consumer import Edges, OffsetGoneError
from shared.records import Applied, Batch, Log, Outgoing, Partition, Record
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.streaming.alerts import BusAlerts
from shared.streaming.context import BatchLimits, Context
from shared.streaming.dead_letters import DeadLetters
from shared.streaming.partition_reader import PartitionReader
from shared.testing.publisher import MemoryPublisher

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MANY = 10_000


class Frozen:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW


class MemoryConsumer:
    """The log of one partition and a position in it; the failures are raised first, one a question."""

    def __init__(self, topic: str, values: Sequence[bytes | None] = (), *, beginning: int = 0) -> None:
        self.at = Partition(topic, 0)
        self.beginning = beginning
        self.next_offset = -1
        self.polls: list[int] = []
        self.offset_failures: list[Exception] = []
        self.poll_failures: list[Exception] = []
        self._values: list[bytes | None] = []
        self._written = asyncio.Event()
        self.write(*values)

    @property
    def ends_at(self) -> int:
        return self.beginning + len(self._values)

    def write(self, *values: bytes | None) -> None:
        self._values += values
        self._written.set()

    def remove(self, *, before: int) -> None:
        """Forget the oldest records, as retention does."""
        del self._values[: before - self.beginning]
        self.beginning = before

    def cut(self, end: int) -> None:
        """Forget the newest records, as a log that was made anew has."""
        del self._values[end - self.beginning :]

    async def edges(self, partitions: Sequence[Partition]) -> dict[Partition, Edges]:
        if self.offset_failures:
            raise self.offset_failures.pop(0)
        return dict.fromkeys(partitions, (self.beginning, self.ends_at))

    def seek(self, partition: Partition, offset: int) -> None:
        assert partition == self.at
        self.next_offset = offset

    def end(self, partition: Partition) -> int:
        return self.ends_at

    async def position(self, partition: Partition) -> int:
        return self.next_offset

    async def read(self, partition: Partition, *, wait: timedelta, most: int) -> list[Record]:
        await asyncio.sleep(0)  # as the real one does: whoever polls lets others run
        self.polls.append(most)
        if self.poll_failures:
            raise self.poll_failures.pop(0)
        if not self.beginning <= self.next_offset <= self.ends_at:
            raise OffsetGoneError(f"{partition} @ {self.next_offset}")
        if self.next_offset == self.ends_at:
            self._written.clear()
            try:
                async with asyncio.timeout(wait.total_seconds()):
                    await self._written.wait()
            except TimeoutError:
                return []
        first, self.next_offset = self.next_offset, min(self.next_offset + most, self.ends_at)
        return [self._record(offset) for offset in range(first, self.next_offset)]

    def _record(self, offset: int) -> Record:
        value = self._values[offset - self.beginning]
        return Record(self.at, offset, b"k%d" % offset, value, NOW, headers=(("trace", b"t"),))


class Keeper:
    """A handler whose state is a list and an offset, moved in one step; some values are poison."""

    def __init__(self, stored: int | None = None) -> None:
        self.next_offset = stored
        self.kept: list[bytes] = []
        self.batches: list[Batch[bytes]] = []
        """Every batch that it was given, those that it refused too."""
        self.failures: list[Exception] = []
        self.unaccounted = 0
        self.released = 0
        self.open = asyncio.Event()
        """While it is not set, a batch is held in hand."""
        self.open.set()
        self._changed = asyncio.Event()

    async def assigned(self, partition: Partition, source: Log) -> int | None:
        return self.next_offset

    def decode(self, record: Record) -> bytes:
        if record.value is None or record.value.startswith(b"rubbish"):
            raise PoisonError("value.rubbish", "it cannot be read")
        if record.value.startswith(b"heartbeat"):
            raise SkippedError("heartbeat")
        return record.value

    async def handle(self, partition: Partition, batch: Batch[bytes]) -> Applied:
        self.batches.append(batch)
        self._changed.set()
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        values = [value for _, value in batch.messages]
        if any(value.startswith(b"poison") for value in values):
            raise PoisonError("value.poison", "it cannot be used")
        self.kept += values
        self.next_offset = batch.next_offset
        self._changed.set()
        return Applied(len(values) - self.unaccounted)

    async def revoked(self, partition: Partition) -> None:
        self.released += 1

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds that only this handler changes."""
        async with asyncio.timeout(20):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class TroubledPublisher(MemoryPublisher):
    """Fails with each of `failures` before it works."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await super().publish(messages)


class World:
    """A reader of one partition, and everything around it."""

    def __init__(
        self,
        topic: str,
        values: Sequence[bytes | None] = (),
        *,
        stored: int | None = None,
        beginning: int = 0,
    ) -> None:
        self.partition = Partition(topic, 0)
        self.consumer = MemoryConsumer(topic, values, beginning=beginning)
        self.handler = Keeper(stored)
        self.publisher = TroubledPublisher()
        self.deserializer = SchemaDeserializer(None, patience=timedelta(), clock=Frozen())
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def reader(self, limits: BatchLimits | None = None, *, start: bool = True) -> PartitionReader[bytes]:
        """Return a reader, started."""
        context = Context(
            handler=self.handler,
            dead_letters=DeadLetters(self.publisher, reader="keeper-g1", by=Keeper),
            alerts=BusAlerts(self.publisher),
            clock=Frozen(),
            worker="keeper",
            limits=limits or BatchLimits(poll=timedelta(milliseconds=5)),
            deserializer=self.deserializer,
        )
        reader = PartitionReader(self.partition, self.consumer, context)
        if start:
            reader.start(self.failed.set_result)
        return reader

    async def read(self, limits: BatchLimits | None = None) -> None:
        """Read to the end, and stop."""
        reader = self.reader(limits)
        await self.handler.until(lambda: self.handler.next_offset == self.consumer.ends_at)
        await reader.stop(timedelta(seconds=10))

    async def failure(self) -> BaseException:
        """Return what stopped the reader."""
        async with asyncio.timeout(20):
            return await self.failed

    @property
    def letters(self) -> list[Outgoing]:
        return self.publisher.of(f"{self.partition.topic}.dlq")


def away(times: int) -> list[Exception]:
    return [TransientError("away") for _ in range(times)]
