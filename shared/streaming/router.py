"""Forwards what lies in another partition than that of what it is about; see `shared.streaming.repartition`.

A router reads every partition of its topics with state of its own: forwarded and acknowledged first, then the
offset moves, so a kill forwards some messages again, which changes nothing where they are merged. What cannot
be read is dead-lettered here, for all who read the topic: a topic has one router, and may have many readers.

Of what it forwarded it keeps a tally in Redis, by cause, for the monitor to name the producer.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import orjson
from redis.asyncio import Redis

from shared.errors import RewindError, StateLostError
from shared.ports import Clock, Publisher
from shared.process.components import ComponentGroup
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Outgoing, Partition, Record
from shared.settings import Settings
from shared.state.fenced import FencedState, StateKeys
from shared.state.hash import FencedHash, RedisHash
from shared.streaming.context import BatchLimits
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop, Subscription
from shared.streaming.misplacement import Misplacement, misplacement
from shared.streaming.repartition import Tally, forwarded, home_of, router_of

TALLIES = "forwarded"
LIMITS = BatchLimits(messages=1000)


class RoutedRecord(NamedTuple):
    """What a record is about, as the bytes of its id (None: nothing), and what is said of it elsewhere."""

    subject: bytes | None
    remarks: tuple[Outgoing, ...] = ()


Subject = Callable[[Record], RoutedRecord]
"""Describes a record; raises `PoisonError`."""
Subjects = Mapping[str, Subject]
"""By topic."""


class Routes(NamedTuple):
    """What is forwarded, and to how many homes; `namespace` is that of the state in Redis."""

    subjects: Subjects
    homes: int
    namespace: str


class RepartitionRouter:
    """The `PartitionHandler` of topics whose messages are forwarded to their homes."""

    def __init__(
        self,
        state: FencedHash,
        publisher: Publisher,
        *,
        routes: Routes,
        clock: Clock,
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._routes = routes
        self._clock = clock
        self._held: dict[Partition, FencedState] = {}
        self._tallies: dict[Partition, dict[str, str]] = {}
        self.partitions: Mapping[str, int] = {}
        """How many each topic has now; for the cause, so it may lag behind."""

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take the partition over; returns the first message that was not yet looked at."""
        keys = _keys(self._routes.namespace, partition)
        held = self._held[partition] = await self._state.claim(keys, log=source)
        self._tallies[partition] = await self._state.read(keys)
        return held.next_offset

    def decode(self, record: Record) -> RoutedRecord:
        """Return what the record is about."""
        return self._routes.subjects[record.partition.topic](record)

    async def handle(self, partition: Partition, batch: Batch[RoutedRecord]) -> Applied:
        """Forward what is not at home here, publish the remarks, then move the offset."""
        homes = self._routes.homes
        away = [
            (record, subject, home)
            for record, (subject, _) in batch.messages
            if (home := home_of(subject, partition, homes)) != partition.number
        ]
        messages = [forwarded(record, home) for record, _, home in away]
        messages += (remark for _, routed in batch.messages for remark in routed.remarks)
        if messages:
            await self._publisher.publish(messages)
        tallies = self._tallied(partition, [(record, subject) for record, subject, _ in away])
        try:
            await self._state.put(self._held[partition], tallies, next_offset=batch.next_offset)
        except StateLostError as error:  # it forwards again what it has, which changes nothing
            raise RewindError(str(error)) from error
        self._tallies[partition] = {**self._tallies[partition], **tallies}
        return Applied(0, len(batch.messages) - len(away), forwarded=len(away))

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; its state is in Redis."""
        self._held.pop(partition, None)
        self._tallies.pop(partition, None)

    def _tallied(self, partition: Partition, away: Iterable[tuple[Record, bytes | None]]) -> dict[str, str]:
        """Return the tallies that these messages change, as they are with them."""
        now = self._clock.now().isoformat()
        changed: dict[str, str] = {}
        for record, subject in away:
            count = max(self.partitions.get(partition.topic, 0), partition.number + 1)
            cause = misplacement(record, subject or b"", partitions=count)
            known = changed.get(cause) or self._tallies[partition].get(cause)
            before = Tally(*orjson.loads(known)).number if known else 0
            tally = Tally(before + 1, now, f"{partition} @ {record.offset}")
            changed[cause.value] = orjson.dumps(tuple(tally)).decode()
        return changed


class Routing(ComponentGroup):
    """The component that runs the router of some topics, whose `subjects` it is given."""

    def __init__(
        self,
        settings: Settings,
        subjects: Subjects,
        *,
        redis: Redis,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        topics = tuple(subjects)
        subscription = Subscription(name=router_of(topics), topics=topics, limits=LIMITS)
        router = RepartitionRouter(
            RedisHash(redis, TALLIES),
            publisher,
            routes=Routes(subjects, settings.partitions, settings.namespace),
            clock=clock,
        )
        loop = PartitionLoop(settings, router, subscription=subscription, publisher=publisher, clock=clock)
        router.partitions = loop.partitions  # which changes with every look at the topics
        super().__init__((loop, ReaderHeartbeat(settings, loop, redis=redis, clock=clock)))


async def tallies(redis: Redis, namespace: str, topic: str, *, partitions: int) -> dict[Misplacement, Tally]:
    """Return what was forwarded of a topic since it was first read, by cause."""
    state = RedisHash(redis, TALLIES)
    sums: dict[Misplacement, Tally] = {}
    for number in range(partitions):
        stored = await state.read(_keys(namespace, Partition(topic, number)))
        for cause, text in stored.items():
            tally = Tally(*orjson.loads(text))
            known = sums.get(Misplacement(cause), Tally(0, "", ""))
            last, example = max((known.last, known.example), (tally.last, tally.example))
            sums[Misplacement(cause)] = Tally(known.number + tally.number, last, example)
    return sums


def _keys(namespace: str, partition: Partition) -> StateKeys:
    return StateKeys(f"{namespace}:{{router:{partition}}}:")
