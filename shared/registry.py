"""Who works on which partition, and how far it is: announced in Redis, and gone when the worker is."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from redis.asyncio import Redis

from schemas.base import Fingerprint, Timestamp, Value
from shared.adapters.redis import text, transient
from shared.periodic import Every

EVERY = timedelta(seconds=1)


class Announcement(Value):
    """What one process says of one partition that it works on."""

    instance: str
    partition: int
    partitions: int
    """How many there are, so that those that nobody has can be told."""
    end_offset: int
    updated_at: Timestamp

    @property
    def name(self) -> str:
        """What tells it from the others of its kind."""
        return f"{self.partition}@{self.instance}"


class ReaderRecord(Announcement):
    """A partition of a hot topic that a loop reads; `next_offset` is None while its state is taken over."""

    topic: str
    next_offset: int | None

    @property
    def name(self) -> str:
        """What tells it from the others of its kind."""
        return f"{self.topic}-{super().name}"


class OwnerRecord(Announcement):
    """A shard that an owner serves; times in seconds, `documents` are live ones."""

    url: str
    epoch: int
    next_offset: int
    ready: bool
    fingerprint: Fingerprint | None = None
    dimensions: int | None = None
    documents: int = 0
    freshness_p50: float | None = None
    freshness_p99: float | None = None

    @property
    def name(self) -> str:
        """What tells it from the others of its kind."""
        return f"{self.partition}@{self.url}"


R = TypeVar("R", bound=Announcement)


class Board(Generic[R]):
    """The living announcements of one kind of work."""

    def __init__(self, redis: Redis, base: str, kind: type[R]) -> None:
        self._redis = redis
        self._base = base
        self._kind = kind

    async def announce(self, record: R, ttl: timedelta) -> None:
        """Say it, for the next `ttl`."""
        with transient():
            await self._redis.set(f"{self._base}:{record.name}", record.model_dump_json(), px=ttl)
            await self._redis.sadd(self._base, record.name)

    async def withdraw(self, record: R) -> None:
        """Take the announcement back."""
        with transient():
            await self._redis.delete(f"{self._base}:{record.name}")
            await self._redis.srem(self._base, record.name)

    async def records(self) -> list[R]:
        """Return every living announcement, by partition."""
        with transient():
            names = sorted(text(name) for name in await self._redis.smembers(self._base))
            found = [(name, await self._redis.get(f"{self._base}:{name}")) for name in names]
            gone = [name for name, record in found if record is None]
            if gone:
                await self._redis.srem(self._base, *gone)
        records = [self._kind.model_validate_json(record) for _, record in found if record is not None]
        return sorted(records, key=lambda record: (record.partition, record.name))


class Readers(Board[ReaderRecord]):
    """The readers of one partition loop, by the loop's name."""

    def __init__(self, redis: Redis, namespace: str, reading: str) -> None:
        super().__init__(redis, f"{namespace}:readers:{reading}", ReaderRecord)


class Registry(Board[OwnerRecord]):
    """The owners of one generation's shards."""

    def __init__(self, redis: Redis, namespace: str, generation: str) -> None:
        super().__init__(redis, f"{namespace}:owners:{generation}", OwnerRecord)
        self._generation = generation
        self._generations = _generations(namespace)

    async def announce(self, record: OwnerRecord, ttl: timedelta) -> None:
        """Say it, for the next `ttl`; the generation is known for longer, see `generations`."""
        await super().announce(record, ttl)
        with transient():
            await self._redis.zadd(self._generations, {self._generation: record.updated_at.timestamp()})

    async def withdraw(self, record: OwnerRecord) -> None:
        """Take it back; a generation that nobody serves any more, by intention, is no longer live."""
        await super().withdraw(record)
        if not await self.records():
            with transient():
                await self._redis.zrem(self._generations, self._generation)

    async def owners(self) -> list[OwnerRecord]:
        """Return every living announcement, by partition."""
        return await self.records()


async def generations(redis: Redis, namespace: str, *, since: datetime) -> list[str]:
    """Return the generations that were served at or after `since` and not given up, by name.

    One whose owners have died stays for as long as the caller looks back: it is out of order, not gone.
    """
    with transient():
        found = await redis.zrangebyscore(_generations(namespace), since.timestamp(), "+inf")
    return sorted(text(name) for name in found if isinstance(name, bytes | str))


def _generations(namespace: str) -> str:
    return f"{namespace}:generations"


class Announcer(Generic[R]):
    """The part of a worker that announces what `standing()` returns, and takes the rest back."""

    def __init__(
        self, board: Board[R], standing: Callable[[], Awaitable[Sequence[R]]], *, ttl: timedelta
    ) -> None:
        self._board = board
        self._standing = standing
        self._ttl = ttl
        self._announced: dict[str, R] = {}
        self._every = Every("announce", EVERY, self.announce)

    async def start(self) -> None:
        """Begin."""
        await self._every.start()

    async def stop(self) -> None:
        """Take every announcement back."""
        await self._every.stop()
        for record in self._announced.values():
            await self._board.withdraw(record)

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        await self._every.wait()

    async def announce(self) -> None:
        """Announce once."""
        records = {record.name: record for record in await self._standing()}
        for record in records.values():
            await self._board.announce(record, self._ttl)
        for name in self._announced.keys() - records.keys():
            await self._board.withdraw(self._announced[name])
        self._announced = records
