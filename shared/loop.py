"""The one loop for all hot topics: which partitions are ours, and a reader for each.

Partitions are owned by lease, spread over the workers of a kind by rendezvous hashing, and not by a
Kafka consumer group: aiokafka's rebalances revoke everything each time, and a crashed member holds
its group up until its session ends. Partition `n` of every topic of a loop has one owner, so topics
that are joined arrive together. The *state* says where to begin; nothing is committed to Kafka (lag and
applied offsets are in our metrics).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.adapters.consumer import Consumer
from shared.adapters.kafka import connection, wait_for_broker
from shared.adapters.redis import connect
from shared.alerts import BusAlerts
from shared.dead_letters import DeadLetters
from shared.errors import TransientError
from shared.ownership import Claim, Ownership
from shared.partition_reader import BatchLimits, Context, PartitionReader
from shared.ports import Clock, PartitionHandler, Publisher
from shared.records import Partition
from shared.settings import Settings

M = TypeVar("M")

DRAIN = timedelta(seconds=22)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a loop reads; without `topics`, only what `assign` gives it."""

    name: str
    topics: tuple[str, ...] = ()
    limits: BatchLimits = field(default_factory=BatchLimits)


class PartitionLoop(Generic[M]):
    """Reads partitions for one handler; `wait()` raises whatever must stop the process."""

    def __init__(
        self,
        settings: Settings,
        handler: PartitionHandler[M],
        *,
        reading: Reading,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._reading = reading
        self._redis = connect(settings)
        self._context = Context(
            handler=handler,
            dead_letters=DeadLetters(publisher, reader=reading.name, by=type(handler)),
            alerts=BusAlerts(publisher),
            clock=clock,
            worker=reading.name,
            prefix=settings.topic_prefix,
            limits=reading.limits,
        )
        self.name = reading.name
        self.partitions: Mapping[str, int] = {}
        """How many each topic has."""
        self._readers: dict[Partition, PartitionReader[M]] = {}
        self._consumers: dict[Partition, AIOKafkaConsumer] = {}
        self._ownership: Ownership | None = None
        self._failure: asyncio.Future[None] | None = None

    @property
    def positions(self) -> dict[Partition, int | None]:
        """The next offset of every partition that is ours; None while its state is being taken over."""
        return {partition: reader.next_offset for partition, reader in self._readers.items()}

    async def start(self) -> None:
        """Wait for the broker and the topics, then begin to take partitions."""
        self._failure = asyncio.get_running_loop().create_future()
        self.partitions = counts = await wait_for_broker(self._settings, self._reading.topics)
        if counts:
            claim = Claim(
                base=f"{self._settings.namespace}:lease:{self._reading.name}",
                member=self._settings.member,
                partitions=max(counts.values()),
            )
            self._ownership = Ownership(self._redis, claim, _Holder(self, counts))
            await self._ownership.start()

    async def stop(self) -> None:
        """Drain what is in hand and let go of every partition."""
        if self._ownership is not None:
            await self._ownership.stop()
        await asyncio.gather(*(self.release(partition) for partition in list(self._readers)))
        await self._redis.aclose()
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    async def wait(self) -> None:
        """Return when the loop was stopped; raise what made it fail."""
        waits = [asyncio.ensure_future(self._ended())]
        if self._ownership is not None:
            waits.append(asyncio.ensure_future(self._ownership.wait()))
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
        for each in pending:
            each.cancel()
        for each in done:
            each.result()

    async def assign(self, partition: Partition) -> None:
        """Read one partition that this process holds the lease of.

        Raises `TransientError` when the broker is away.
        """
        consumer = Consumer(
            **connection(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=2000,
        )
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise TransientError(f"{partition} cannot be read: {error!r}") from error
        self._consumers[partition] = consumer
        consumer.assign([self._at(partition)])
        reader = PartitionReader(partition, consumer, self._context)
        self._readers[partition] = reader
        reader.start(self._fail)

    async def release(self, partition: Partition) -> None:
        """Stop reading it; returns when the handler has let go."""
        reader = self._readers.get(partition)
        if reader is None:
            return
        await reader.stop(DRAIN)
        await self._consumers.pop(partition).stop()
        del self._readers[partition]

    def _at(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._settings.topic_prefix + partition.topic, partition.number)

    def _fail(self, error: BaseException) -> None:
        """Make `wait()` raise `error` (the first one counts)."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _ended(self) -> None:
        if self._failure is not None:
            await asyncio.shield(self._failure)


class _Holder:
    """Reads partition `n` of every topic while this process holds lease `n`."""

    def __init__(self, loop: "PartitionLoop[M]", counts: dict[str, int]) -> None:
        self._loop = loop
        self._counts = counts

    def seen_epoch(self, partition: int) -> int:  # noqa: ARG002 - the handler's state has its own epoch
        return 0

    async def take(self, partition: int, epoch: int) -> None:  # noqa: ARG002 - as above
        for each in self._each(partition):
            await self._loop.assign(each)

    async def drop(self, partition: int) -> None:
        await asyncio.gather(*(self._loop.release(each) for each in self._each(partition)))

    def _each(self, number: int) -> Iterable[Partition]:
        return (Partition(topic, number) for topic, count in self._counts.items() if number < count)
