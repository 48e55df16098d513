"""Who serves the shards, as the registry said a moment ago."""

import asyncio
from datetime import timedelta

import structlog
from redis.asyncio import Redis

from shared.errors import TransientError
from shared.registry import OwnerRecord, Registry

log = structlog.get_logger()


class Owners:
    """The registered owners of every generation asked for, read again when older than `ttl`.

    One reader at a time. While Redis is away the last list is used: an owner that is gone then simply
    does not answer.
    """

    def __init__(self, redis: Redis, namespace: str, *, ttl: timedelta) -> None:
        self._redis = redis
        self._namespace = namespace
        self._ttl = ttl.total_seconds()
        self._known: dict[str, tuple[float, list[OwnerRecord]]] = {}
        self._lock = asyncio.Lock()

    async def of(self, generation: str) -> list[OwnerRecord]:
        """Return the owners; raises `TransientError` when Redis is away and nothing is known yet."""
        read_at, owners = self._known.get(generation, (float("-inf"), []))
        if self._now() - read_at < self._ttl:
            return owners
        async with self._lock:
            read_at, owners = self._known.get(generation, (float("-inf"), []))
            if self._now() - read_at >= self._ttl:
                owners = await self._read(generation)
        return owners

    def forget(self, generation: str) -> None:
        """Read the list again before its next use: an owner did not do what the list promised."""
        if generation in self._known:
            self._known[generation] = (float("-inf"), self._known[generation][1])

    async def _read(self, generation: str) -> list[OwnerRecord]:
        known = self._known.get(generation)
        try:
            owners = await Registry(self._redis, self._namespace, generation).owners()
        except TransientError as error:
            if known is None:
                raise
            log.warning("owners.stale", generation=generation, error=str(error))
            owners = known[1]
        if owners or known:
            self._known[generation] = (self._now(), owners)
        return owners

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
