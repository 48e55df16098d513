"""The one loop for all hot topics: whose partitions, and a reader for each.

Two ways to own partitions. `subscribe` joins a consumer group, for workers whose state lives outside
the process; `assign` and `release` follow a lease, for shards, whose loaded state must not be dropped
because a neighbour left (aiokafka rebalances revoke everything). Either way the *state* says where to
begin: committed offsets are written as a hint for dashboards and never read.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from shared.adapters.kafka import connection, wait_for_broker
from shared.alerts import BusAlerts
from shared.dead_letters import DeadLetters
from shared.partition_reader import BatchLimits, Context, PartitionReader
from shared.ports import Clock, PartitionHandler, Publisher
from shared.records import Partition
from shared.settings import Settings

M = TypeVar("M")
log = structlog.get_logger()

DRAIN = timedelta(seconds=25)
HINT_EVERY = timedelta(seconds=5)
SESSION = timedelta(seconds=10)
HEARTBEAT = timedelta(seconds=3)


def _milliseconds(span: timedelta) -> int:
    return int(span / timedelta(milliseconds=1))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a loop reads: with `topics` it joins the group `<namespace>-<name>` when it starts."""

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
        self._group = f"{settings.namespace}-{reading.name}"
        self._topics = reading.topics
        self._context = Context(
            handler=handler,
            dead_letters=DeadLetters(publisher, worker=reading.name),
            alerts=BusAlerts(publisher),
            clock=clock,
            worker=reading.name,
            prefix=settings.topic_prefix,
            limits=reading.limits,
        )
        self._readers: dict[Partition, PartitionReader[M]] = {}
        self._own_consumers: dict[Partition, AIOKafkaConsumer] = {}
        self._member: AIOKafkaConsumer | None = None
        self._hints: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] | None = None

    @property
    def positions(self) -> dict[Partition, int]:
        """The next offset of every partition that is being read."""
        return {
            partition: reader.next_offset
            for partition, reader in self._readers.items()
            if reader.next_offset is not None
        }

    async def start(self) -> None:
        """Connect (waiting for the broker and the topics) and, with topics, join the group."""
        self._failure = asyncio.get_running_loop().create_future()
        await wait_for_broker(self._settings, self._topics)
        if not self._topics:
            return
        self._member = AIOKafkaConsumer(
            group_id=self._group,
            session_timeout_ms=_milliseconds(SESSION),
            heartbeat_interval_ms=_milliseconds(HEARTBEAT),
            partition_assignment_strategy=(RangePartitionAssignor,),
            **self._consumer_options(),
        )
        await self._member.start()
        self._member.subscribe(
            [self._settings.topic_prefix + topic for topic in self._topics], listener=_Membership(self)
        )
        self._hints = asyncio.create_task(self._hint(self._member), name="commit hints")

    async def stop(self) -> None:
        """Drain what is in hand, let go of every partition, leave the group."""
        if self._hints is not None:
            self._hints.cancel()
        await self.stop_reading(list(self._readers))
        if self._member is not None:
            await self._commit(self._member)
            await self._member.stop()
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    async def wait(self) -> None:
        """Return when the loop was stopped; raise what made it fail."""
        if self._failure is not None:
            await asyncio.shield(self._failure)

    async def assign(self, partition: Partition) -> None:
        """Read one partition that this process holds the lease of."""
        consumer = AIOKafkaConsumer(**self._consumer_options())
        self._own_consumers[partition] = consumer
        await consumer.start()
        consumer.assign([TopicPartition(self._settings.topic_prefix + partition.topic, partition.number)])
        self.begin_reading(partition, consumer)

    async def release(self, partition: Partition) -> None:
        """Stop reading it; returns when the handler has let go."""
        await self.stop_reading([partition])

    def begin_reading(self, partition: Partition, consumer: AIOKafkaConsumer) -> None:
        """Start the reader of one partition."""
        reader = PartitionReader(partition, consumer, self._context)
        self._readers[partition] = reader
        reader.start(self.fail)

    async def stop_reading(self, partitions: Iterable[Partition]) -> None:
        """Drain the readers of these partitions, all at once."""
        known = [partition for partition in partitions if partition in self._readers]
        await asyncio.gather(*(self._readers[partition].stop(DRAIN) for partition in known))
        for partition in known:
            if (consumer := self._own_consumers.pop(partition, None)) is not None:
                await consumer.stop()
        if self._member is not None:
            await self._commit(self._member)
        for partition in known:
            del self._readers[partition]

    def resume_reading(self, assigned: Iterable[TopicPartition]) -> None:
        """Start a reader for each partition that the group gave us."""
        for at in sorted(assigned):
            self.begin_reading(self.partition_of(at), self._member)

    def fail(self, error: BaseException) -> None:
        """Make `wait()` raise `error` (the first one counts)."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    def partition_of(self, at: TopicPartition) -> Partition:
        """Return Kafka's partition without the configured prefix."""
        return Partition(at.topic.removeprefix(self._settings.topic_prefix), at.partition)

    def _consumer_options(self) -> dict[str, object]:
        return {
            **connection(self._settings),
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "max_partition_fetch_bytes": 4 * 1024 * 1024,
            "fetch_max_wait_ms": 500,
        }

    async def _hint(self, member: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(HINT_EVERY.total_seconds())
            await self._commit(member)

    async def _commit(self, member: AIOKafkaConsumer) -> None:
        """Commit the positions for dashboards; nobody depends on them."""
        prefix = self._settings.topic_prefix
        offsets = {
            TopicPartition(prefix + at.topic, at.number): next_ for at, next_ in self.positions.items()
        }
        if not offsets:
            return
        try:
            await member.commit(offsets)
        except KafkaError as error:
            log.debug("hint.failed", error=repr(error))


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Follows the group's assignment; aiokafka swallows what a listener raises, so we report it."""

    def __init__(self, loop: "PartitionLoop[M]") -> None:
        self._loop = loop

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        try:
            await self._loop.stop_reading([self._loop.partition_of(at) for at in revoked])
        except Exception as error:  # noqa: BLE001 - it would be swallowed
            self._loop.fail(error)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            self._loop.resume_reading(assigned)
        except Exception as error:  # noqa: BLE001 - it would be swallowed
            self._loop.fail(error)
