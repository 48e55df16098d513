"""Who serves which shard: owners announce themselves in Redis and vanish when they stop."""

from datetime import timedelta

from redis.asyncio import Redis

from schemas.base import Fingerprint, Timestamp, Value
from shared.adapters.redis import text, transient


class OwnerRecord(Value):
    """What one owner says of one shard; times in seconds, `documents` are live ones."""

    url: str
    instance: str
    partition: int
    partitions: int
    epoch: int
    next_offset: int
    end_offset: int
    ready: bool
    fingerprint: Fingerprint | None = None
    dimensions: int | None = None
    documents: int = 0
    freshness_p50: float | None = None
    freshness_p99: float | None = None
    updated_at: Timestamp


class Registry:
    """The owners of one generation's shards."""

    def __init__(self, redis: Redis, namespace: str, generation: str) -> None:
        self._redis = redis
        self._base = f"{namespace}:owners:{generation}"

    async def announce(self, owner: OwnerRecord, ttl: timedelta) -> None:
        """Say that this owner serves this shard, for the next `ttl`."""
        name = f"{owner.partition}@{owner.url}"
        with transient():
            await self._redis.set(f"{self._base}:{name}", owner.model_dump_json(), px=ttl)
            await self._redis.sadd(self._base, name)

    async def withdraw(self, owner: OwnerRecord) -> None:
        """Take the announcement back."""
        name = f"{owner.partition}@{owner.url}"
        with transient():
            await self._redis.delete(f"{self._base}:{name}")
            await self._redis.srem(self._base, name)

    async def owners(self) -> list[OwnerRecord]:
        """Return every live announcement, by partition."""
        with transient():
            names = sorted(text(name) for name in await self._redis.smembers(self._base))
            found = [(name, await self._redis.get(f"{self._base}:{name}")) for name in names]
            gone = [name for name, text in found if text is None]
            if gone:
                await self._redis.srem(self._base, *gone)
        owners = [OwnerRecord.model_validate_json(text) for _, text in found if text is not None]
        return sorted(owners, key=lambda owner: (owner.partition, owner.url))
