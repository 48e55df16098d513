"""Which partitions this process works on: leases in Redis, spread by rendezvous hashing over the living.

A partition moves one step at a time: its owner lets go (saving it), the lease is free, the new owner
takes it with a higher epoch. A dead owner's lease runs out instead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog
from redis.asyncio import Redis

from schemas.base import MILLISECOND
from shared.cluster.lease import Lease
from shared.cluster.pins import PartitionPins, pinned
from shared.cluster.rendezvous import place
from shared.errors import TransientError
from shared.process.periodic import Every
from shared.state.redis import Script, text, transient

log = structlog.get_logger()

TICKS_A_LEASE = 4

MEET = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""


class PartitionHolder(Protocol):
    """Who begins and ends the work on a partition when its lease comes and goes."""

    def seen_epoch(self, partition: int) -> int:
        """Return the highest epoch its state knows of."""
        ...

    async def take(self, partition: int, epoch: int) -> None:
        """Begin to work on the partition under this epoch; raises `TransientError` to try again later."""
        ...

    async def drop(self, partition: int) -> None:
        """Stop working on it; returns when its state is safe."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentSpec:
    """What is shared out: `partitions` pieces of work named `base`; `member` is this process alone."""

    base: str
    member: str
    partitions: int
    ttl: timedelta = timedelta(seconds=10)


class PartitionAssignment:
    """Keeps the right leases; `wait()` raises when something unknown went wrong."""

    def __init__(self, redis: Redis, claim: AssignmentSpec, holder: PartitionHolder) -> None:
        self._redis = redis
        self._claim = claim
        self._holder = holder
        self._meet = Script(redis, MEET)
        self._pins = PartitionPins(redis, claim.base)
        self._held: dict[int, Lease] = {}
        self._leaving: set[int] = set()
        self._ticking = Every("ownership", claim.ttl / TICKS_A_LEASE, self.tick)

    async def start(self) -> None:
        """Join the owners."""
        await self._ticking.start()

    async def stop(self) -> None:
        """Give every partition and the membership back."""
        await self._ticking.stop()
        await asyncio.gather(*(self.let_go(partition) for partition in list(self._held)))
        await self._quietly(self._leave)

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        await self._ticking.wait()

    @property
    def held(self) -> set[int]:
        """The partitions that are ours."""
        return set(self._held)

    def resize(self, partitions: int) -> None:
        """Share out so many from the next tick on; whoever has not heard of it yet leaves the new ones."""
        self._claim = replace(self._claim, partitions=partitions)

    async def let_go(self, partition: int) -> None:
        """Stop working on a partition and free its lease."""
        lease = self._held.pop(partition, None)
        if lease is None:
            return
        self._leaving.add(partition)
        try:
            await self._holder.drop(partition)
        finally:
            self._leaving.discard(partition)
        await self._quietly(lease.release)

    async def tick(self) -> None:
        """Look once: who lives, what is ours, what is to be let go or taken."""
        width = int(self._claim.ttl / MILLISECOND)
        members = [
            text(member)
            for member in await self._meet(keys=[self._members], args=[self._claim.member, width])
        ]
        owners = pinned(place(self._claim.partitions, members), await self._pins.all(), members)
        wanted = {partition for partition, owner in owners.items() if owner == self._claim.member}
        await asyncio.gather(*(self._keep(partition) for partition in list(self._held)))
        surplus = sorted(self._held.keys() - wanted)
        if surplus:
            await self.let_go(surplus[0])
        for partition in sorted(wanted - self._held.keys() - self._leaving):
            await self._take(partition)

    async def _keep(self, partition: int) -> None:
        if not await self._held[partition].renew():
            log.warning("lease.lost", lease=self._claim.base, partition=partition)
            await self.let_go(partition)

    async def _take(self, partition: int) -> None:
        lease = Lease(
            self._redis, f"{self._claim.base}:{partition}", owner=self._claim.member, ttl=self._claim.ttl
        )
        epoch = await lease.acquire(seen_epoch=self._holder.seen_epoch(partition))
        if epoch is None:
            return
        log.info("lease.taken", lease=self._claim.base, partition=partition, epoch=epoch)
        self._held[partition] = lease
        try:
            await self._holder.take(partition, epoch)
        except TransientError:  # the broker is away: the lease is tried for again at the next tick
            await self.let_go(partition)
            raise

    async def _leave(self) -> None:
        with transient():
            await self._redis.zrem(self._members, self._claim.member)

    @property
    def _members(self) -> str:
        return f"{self._claim.base}:members"

    async def _quietly(self, action: Callable[[], Awaitable[object]]) -> None:
        """Do something that only saves others from waiting."""
        try:
            await action()
        except TransientError as error:
            log.warning("ownership.left_open", reason=str(error))
