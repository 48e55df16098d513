"""The one loop for all hot topics: which partitions are ours, and a reader for each.

Partitions are owned by lease, spread over the workers of a kind by rendezvous hashing, and not by a
Kafka consumer group: aiokafka's rebalances revoke everything each time, and a crashed member holds
its group up until its session ends. Partition `n` of every topic of a loop has one owner, so topics
that are joined arrive together. The *state* says where to begin; nothing is committed to Kafka (lag and
applied offsets are in our metrics).

The topics are looked at all the time: partitions that somebody adds are shared out like the others, and those
of a topic that was deleted and made anew are let go of, so that whoever takes them next begins anew too.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import stamina
import structlog

from shared.cluster.assignment import AssignmentSpec, PartitionAssignment
from shared.errors import TransientError
from shared.kafka.client import wait_for_broker
from shared.kafka.consumer import RecordConsumer
from shared.ports import Clock, PartitionHandler, Publisher
from shared.process.periodic import Every
from shared.records import Partition
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.settings import Settings
from shared.state.redis import connect
from shared.streaming.alerts import BusAlerts
from shared.streaming.context import BatchLimits, Context
from shared.streaming.dead_letters import DeadLetters
from shared.streaming.partition_reader import PartitionReader
from shared.streaming.topic_watch import TopicWatch

M = TypeVar("M")
log = structlog.get_logger()

DRAIN = timedelta(seconds=22)
LOOK_EVERY = timedelta(seconds=20)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a loop reads; without `topics`, only what `assign` gives it."""

    name: str
    topics: tuple[str, ...] = ()
    partitions: int | None = None
    """Only the first so many of each topic; None: all there are."""
    routed: bool = False
    """Its topics have a router, which answers for what cannot be read."""
    limits: BatchLimits = field(default_factory=BatchLimits)


class PartitionLoop(Generic[M]):
    """Reads partitions for one handler; `wait()` raises whatever must stop the process."""

    def __init__(
        self,
        settings: Settings,
        handler: PartitionHandler[M],
        *,
        subscription: Subscription,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._subscription = subscription
        self._redis = connect(settings)
        topics = TopicWatch(settings)
        alerts = BusAlerts(publisher)
        self._context = Context(
            handler=handler,
            dead_letters=DeadLetters(publisher, reader=subscription.name, by=type(handler)),
            alerts=alerts,
            clock=clock,
            worker=subscription.name,
            limits=subscription.limits,
            routed=subscription.routed,
            identity=topics.identity,
            leave=self._leave,
            deserializer=SchemaDeserializer.of(settings.registry, clock=clock, alerts=alerts),
        )
        self.name = subscription.name
        self._topics = topics
        self._readers: dict[Partition, PartitionReader[M]] = {}
        self._consumers: dict[Partition, RecordConsumer] = {}
        self._ownership: PartitionAssignment | None = None
        self._changing: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._to_leave: set[Partition] = set()
        self._let_go: Callable[[int], Awaitable[None]] | None = None
        self._looking = Every("topics", LOOK_EVERY, self.look)
        self._ceased = False
        self._failure: asyncio.Future[None] | None = None

    @property
    def partitions(self) -> Mapping[str, int]:
        """How many of each topic are read, at the last look."""
        most, counts = self._subscription.partitions, self._topics.partitions
        return counts if most is None else {topic: min(count, most) for topic, count in counts.items()}

    @property
    def positions(self) -> dict[Partition, int | None]:
        """The next offset of every partition that is ours; None while its state is being taken over."""
        return {partition: reader.next_offset for partition, reader in self._readers.items()}

    @property
    def uncommitted(self) -> dict[Partition, int]:
        """How many offsets of every partition that is ours lie behind a transaction that is still open."""
        return {partition: reader.uncommitted for partition, reader in self._readers.items()}

    async def start(self) -> None:
        """Wait for the broker and the topics, then begin to take partitions."""
        self._failure = asyncio.get_running_loop().create_future()
        counts = await wait_for_broker(self._settings, self._subscription.topics)
        if counts:
            async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=None):
                with attempt:  # it answered a moment ago, and may be away now
                    await self._topics.look(counts)
            claim = AssignmentSpec(
                base=f"{self._settings.namespace}:lease:{self._subscription.name}",
                member=self._settings.member,
                partitions=max(self.partitions.values()),
            )
            self._ownership = PartitionAssignment(self._redis, claim, _Holder(self, self._changing))
            self._let_go = self._ownership.let_go
            await self._ownership.start()
        await self._looking.start()

    def led_by(self, let_go: Callable[[int], Awaitable[None]]) -> None:
        """Have a lease that others hold for us let go of by this: for a loop without topics of its own."""
        self._let_go = let_go

    def rewind(self, reason: str) -> None:
        """Have the handler asked again where to read on in each partition, after the batch in hand."""
        for reader in self._readers.values():
            reader.rewind(reason)

    def cease(self) -> None:
        """Read no further; the batches in hand go on."""
        self._ceased = True
        for reader in self._readers.values():
            reader.cease()

    async def stop(self) -> None:
        """Drain what is in hand and let go of every partition."""
        self.cease()
        await self._looking.stop()
        if self._ownership is not None:
            await self._ownership.stop()
        await asyncio.gather(*(self.release(partition) for partition in list(self._readers)))
        await self._context.deserializer.aclose()
        await self._redis.aclose()
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    async def wait(self) -> None:
        """Return when the loop was stopped; raise what made it fail."""
        waits = [asyncio.ensure_future(self._ended()), asyncio.ensure_future(self._looking.wait())]
        if self._ownership is not None:
            waits.append(asyncio.ensure_future(self._ownership.wait()))
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
        for wait in pending:
            wait.cancel()
        for wait in done:
            wait.result()

    async def assign(self, partition: Partition) -> None:
        """Read one partition that this process holds the lease of, unless it is about to stop.

        Raises `TransientError` when the broker is away.
        """
        if self._ceased:
            return
        consumer = RecordConsumer(
            self._settings,
            reset="none",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=2000,
        )
        await consumer.start()
        self._consumers[partition] = consumer
        consumer.assign([partition])
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

    async def look(self) -> None:
        """Look at the topics once: share out what was added, and begin anew what was made anew."""
        names = {*self._subscription.topics, *(partition.topic for partition in self._readers)}
        if not names:
            return
        await self._topics.look(names)
        made_anew = {
            partition
            for partition, reader in self._readers.items()
            if reader.log.identity not in {"", self._topics.last_identity(partition.topic)}
        }
        leaving, self._to_leave = self._to_leave | made_anew, set()
        for number in sorted({partition.number for partition in leaving}):
            if self._let_go is not None:
                log.warning("topic.made_anew", topics=sorted({at.topic for at in leaving}), partition=number)
                await self._let_go(number)
        if self._ownership is not None:
            self._ownership.resize(max(self.partitions.values()))
            for number in self._ownership.held:
                await self._read_added(number, self._ownership)

    async def _read_added(self, number: int, ownership: PartitionAssignment) -> None:
        """Read what a topic has got under a number that is ours already."""
        async with self._changing[number]:
            if number in ownership.held:  # still
                await self.assign_all(number)

    def _leave(self, partition: Partition) -> bool:
        """Let go of a partition at the next look; False: nobody could take it again."""
        if self._let_go is not None:
            self._to_leave.add(partition)
        return self._let_go is not None

    async def assign_all(self, number: int) -> None:
        """Read partition `number` of every topic that has it, unless it is read already."""
        for topic, count in list(self.partitions.items()):
            partition = Partition(topic, number)
            if number < count and partition not in self._readers:
                await self.assign(partition)

    async def release_all(self, number: int) -> None:
        """Stop reading partition `number` of every topic."""
        partitions = [partition for partition in self._readers if partition.number == number]
        await asyncio.gather(*map(self.release, partitions))

    def _fail(self, error: BaseException) -> None:
        """Make `wait()` raise `error` (the first one counts)."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _ended(self) -> None:
        if self._failure is not None:
            await asyncio.shield(self._failure)


class _Holder:
    """Reads partition `n` of every topic while this process holds lease `n`."""

    def __init__(self, loop: "PartitionLoop[M]", changing: Mapping[int, asyncio.Lock]) -> None:
        self._loop = loop
        self._changing = changing

    def seen_epoch(self, partition: int) -> int:  # noqa: ARG002 - the handler's state has its own epoch
        return 0

    async def take(self, partition: int, epoch: int) -> None:  # noqa: ARG002 - as above
        async with self._changing[partition]:
            await self._loop.assign_all(partition)

    async def drop(self, partition: int) -> None:
        async with self._changing[partition]:
            await self._loop.release_all(partition)
