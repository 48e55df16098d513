"""Who works on which partition, and how far it is: announced in Redis, and gone when the worker is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from redis.asyncio import Redis

from shared.cluster.members import Heartbeat, OwnerRecord, ReaderRecord
from shared.errors import TransientError
from shared.process.periodic import Every
from shared.state.redis import text, transient

EVERY = timedelta(seconds=1)
REMEMBERED_FOR = timedelta(days=1)
"""So long an owner that can no longer announce itself is known to search."""

R = TypeVar("R", bound=Heartbeat)


class MembershipBoard(Generic[R]):
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
            pipeline = self._redis.pipeline(transaction=False)  # one round trip, also where slots are spread
            for name in names:
                pipeline.get(f"{self._base}:{name}")
            announced = await pipeline.execute() if names else []
        gone = [name for name, record in zip(names, announced, strict=True) if record is None]
        if gone:
            with suppress(TransientError), transient():  # a Redis that takes no writes can still be read
                await self._redis.srem(self._base, *gone)
        records = [self._kind.model_validate_json(record) for record in announced if record is not None]
        return sorted(records, key=lambda record: (record.partition, record.name))


class ReaderRegistry(MembershipBoard[ReaderRecord]):
    """The readers of one partition loop, by the loop's name."""

    def __init__(self, redis: Redis, namespace: str, reading: str) -> None:
        super().__init__(redis, f"{namespace}:readers:{reading}", ReaderRecord)


class OwnerRegistry(MembershipBoard[OwnerRecord]):
    """The owners of one generation's shards, and who owned each last."""

    def __init__(self, redis: Redis, namespace: str, generation: str) -> None:
        super().__init__(redis, f"{namespace}:owners:{generation}", OwnerRecord)
        self._generation = generation
        self._generations = _generations(namespace)
        self._last = f"{self._base}:last"

    async def announce(self, record: OwnerRecord, ttl: timedelta) -> None:
        """Say it, for the next `ttl`; it is known as the last owner for longer, see `last_known`."""
        await super().announce(record, ttl)
        with transient():
            await self._redis.zadd(self._generations, {self._generation: record.updated_at.timestamp()})
            if record.ready:
                await self._redis.hset(self._last, str(record.partition), record.model_dump_json())
                await self._redis.pexpire(self._last, REMEMBERED_FOR)

    async def withdraw(self, record: OwnerRecord) -> None:
        """Take it back; a generation that nobody serves any more, by intention, is no longer live."""
        await super().withdraw(record)
        for last in await self.last_known():
            if last.name == record.name:
                with transient():
                    await self._redis.hdel(self._last, str(record.partition))
        if not await self.records():
            with transient():
                await self._redis.zrem(self._generations, self._generation)

    async def owners(self) -> list[OwnerRecord]:
        """Return every living announcement, by partition."""
        return await self.records()

    async def last_known(self) -> list[OwnerRecord]:
        """Return the last owner of each partition that was ready and did not take its announcement back.

        It may be dead. It may also live, and serve, where Redis takes no writes: then nobody can announce
        anything.
        """
        with transient():
            stored = await self._redis.hvals(self._last)
        return sorted(map(OwnerRecord.model_validate_json, stored), key=lambda owner: owner.partition)


async def generations(redis: Redis, namespace: str, *, since: datetime) -> list[str]:
    """Return the generations that were served at or after `since` and not given up, by name.

    One whose owners have died stays for as long as the caller looks back: it is out of order, not gone.
    """
    with transient():
        served = await redis.zrangebyscore(_generations(namespace), since.timestamp(), "+inf")
    return sorted(text(name) for name in served if isinstance(name, bytes | str))


def _generations(namespace: str) -> str:
    return f"{namespace}:generations"


class HeartbeatPublisher(Generic[R]):
    """The component that announces what `standing()` returns, and takes the rest back."""

    def __init__(
        self, board: MembershipBoard[R], standing: Callable[[], Awaitable[Sequence[R]]], *, ttl: timedelta
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
        await asyncio.gather(*map(self._board.withdraw, self._announced.values()))

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
