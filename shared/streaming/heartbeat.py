"""A worker says in Redis what it reads and how far it is, so that one that is dead is missed."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from redis.asyncio import Redis

from shared.cluster.members import ReaderRecord
from shared.cluster.registry import HeartbeatPublisher, ReaderRegistry
from shared.kafka.offsets import BrokerLog
from shared.ports import Clock
from shared.records import Partition
from shared.settings import Settings

ANNOUNCED_FOR = timedelta(seconds=10)
AT_THE_END = -1
"""The position of who has nothing to read."""


class Reading(Protocol):
    """What reads partitions and can say how far it is: a `PartitionLoop`, or `FollowedTopics`."""

    name: str

    @property
    def partitions(self) -> Mapping[str, int]:
        """How many there are of each topic."""
        ...

    @property
    def positions(self) -> Mapping[Partition, int | None]:
        """The next offset of every partition that is read; None while its state is being taken over."""
        ...

    @property
    def uncommitted(self) -> Mapping[Partition, int]:
        """How many offsets of each lie behind a transaction that is still open, where that is known."""
        ...


class Follower(Protocol):
    """What follows small topics whole."""

    @property
    def positions(self) -> Mapping[Partition, int]:
        """The next offset of every partition."""
        ...


class FollowedTopics:
    """The topics that a worker follows whole, as one reading: every process of it reads all of them."""

    def __init__(self, name: str, *followers: Follower) -> None:
        self.name = name
        self._followers = followers

    @property
    def partitions(self) -> Mapping[str, int]:
        """How many there are of each topic."""
        return Counter(partition.topic for partition in self.positions)

    @property
    def positions(self) -> dict[Partition, int]:
        """The next offset of every partition."""
        return {at: offset for follower in self._followers for at, offset in follower.positions.items()}

    @property
    def uncommitted(self) -> Mapping[Partition, int]:
        """Nothing: only we write them, and not in transactions."""
        return {}


class WrittenTopics:
    """The topics of a worker that writes and reads none: it is never behind, and missed when it is away."""

    def __init__(self, name: str, *topics: str) -> None:
        self.name = name
        self.positions = {Partition(topic, 0): AT_THE_END for topic in topics}
        self.partitions = dict.fromkeys(topics, 1)
        self.uncommitted: Mapping[Partition, int] = {}


class ReaderHeartbeat:
    """The component that announces what one reading reads; added after it."""

    def __init__(self, settings: Settings, reading: Reading, *, redis: Redis, clock: Clock) -> None:
        self._settings = settings
        self._reading = reading
        self._clock = clock
        self._log = BrokerLog(settings)
        board = ReaderRegistry(redis, settings.namespace, reading.name)
        self._announcer = HeartbeatPublisher(board, self._standing, ttl=ANNOUNCED_FOR)

    async def start(self) -> None:
        """Begin."""
        await self._log.start()
        await self._announcer.start()

    async def stop(self) -> None:
        """Take every announcement back."""
        await self._announcer.stop()
        await self._log.stop()

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        await self._announcer.wait()

    async def _standing(self) -> list[ReaderRecord]:
        positions, uncommitted = self._reading.positions, self._reading.uncommitted
        ends = await self._log.ends(list(positions))
        positions = {
            at: ends.get(at, 0) if offset == AT_THE_END else offset for at, offset in positions.items()
        }
        return [
            ReaderRecord(
                instance=self._settings.member,
                topic=partition.topic,
                partition=partition.number,
                partitions=self._reading.partitions[partition.topic],
                next_offset=offset,
                end_offset=max(ends.get(partition, 0), offset or 0),
                uncommitted=uncommitted.get(partition, 0),
                updated_at=self._clock.now(),
            )
            for partition, offset in positions.items()
        ]
