"""Who serves the shards, as the registry said a moment ago."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from redis.asyncio import Redis

from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.errors import TransientError

log = structlog.get_logger()


PATIENCE = timedelta(milliseconds=200)
"""So long searches wait for a newer list than the one there is, all together: a Redis may hang for half a
minute, and then only the first of them pays."""


class Owners:
    """The registered owners of every generation asked for, read again when older than `ttl`.

    One reading at a time. Search does not stop because Redis does: while it is away or hangs the last list is
    used, and while it takes no writes, so that every announcement runs out, whoever owned a partition last.
    An owner that is gone then simply does not answer.
    """

    def __init__(self, redis: Redis, namespace: str, *, ttl: timedelta) -> None:
        self._redis = redis
        self._namespace = namespace
        self._ttl = ttl.total_seconds()
        self._lists: dict[str, tuple[float, list[OwnerRecord]]] = {}
        self._readings: dict[str, tuple[float, asyncio.Task[list[OwnerRecord]]]] = {}
        """When each was begun, and what it will have read."""

    async def of(self, generation: str) -> list[OwnerRecord]:
        """Return the owners; raises `TransientError` when Redis is away and nothing is cached yet."""
        read_at, owners = self._lists.get(generation, (float("-inf"), []))
        if self._now() - read_at < self._ttl:
            return owners
        began, reading = self._reading(generation)
        if generation not in self._lists:
            return await asyncio.shield(reading)
        left = began + PATIENCE.total_seconds() - self._now()
        if left > 0:
            await asyncio.wait([reading], timeout=left)
        return reading.result() if reading.done() else self._lists[generation][1]

    def _reading(self, generation: str) -> tuple[float, asyncio.Task[list[OwnerRecord]]]:
        """Return the reading that goes on, else one that begins."""
        known = self._readings.get(generation)
        if known is None or known[1].done():
            known = self._now(), asyncio.create_task(self._read(generation))
            self._readings[generation] = known
        return known

    def forget(self, generation: str) -> None:
        """Read the list again before its next use: an owner did not do what the list promised."""
        if generation in self._lists:
            self._lists[generation] = (float("-inf"), self._lists[generation][1])

    async def _read(self, generation: str) -> list[OwnerRecord]:
        cached = self._lists.get(generation)
        registry = OwnerRegistry(self._redis, self._namespace, generation)
        try:
            owners = or_last_known(await registry.owners(), await registry.last_known())
        except TransientError as error:
            if cached is None:
                raise
            log.warning("owners.stale", generation=generation, error=str(error))
            owners = cached[1]
        if not owners and cached is not None:  # Redis was emptied: they announce themselves in a second
            owners = cached[1]
        if owners:
            self._lists[generation] = (self._now(), owners)
        return owners

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def or_last_known(living: Sequence[OwnerRecord], last: Sequence[OwnerRecord]) -> list[OwnerRecord]:
    """Return the living owners, and of each partition that has none the one that it had last.

    Never one that counts the partitions otherwise than the living do: it is of another layout.
    """
    served, layouts = {owner.partition for owner in living}, {owner.partitions for owner in living}
    known = (owner for owner in last if owner.partition not in served)
    return [*living, *(owner for owner in known if not layouts or owner.partitions in layouts)]
