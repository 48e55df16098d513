"""Partitions that an operator has put somewhere else than where hashing puts them.

They are a wish: a member that is away is passed over, and a Redis that was emptied has none.
"""

from collections.abc import Collection, Mapping

from redis.asyncio import Redis

from shared.state.redis import text, transient


class PartitionPins:
    """The wishes for the pieces of work named `base`."""

    def __init__(self, redis: Redis, base: str) -> None:
        self._redis = redis
        self._key = f"{base}:pins"

    async def all(self) -> dict[int, str]:
        """Return the member that each pinned partition shall have."""
        with transient():
            stored = await self._redis.hgetall(self._key)
        return {int(partition): text(member) for partition, member in stored.items()}

    async def put(self, partition: int, member: str) -> None:
        """Have the partition at this member from its next tick on."""
        with transient():
            await self._redis.hset(self._key, str(partition), member)

    async def remove(self, partition: int) -> None:
        """Have it where hashing puts it."""
        with transient():
            await self._redis.hdel(self._key, str(partition))


def pinned(placed: Mapping[int, str], pins: Mapping[int, str], members: Collection[str]) -> dict[int, str]:
    """Return who owns each partition: as it was placed, but for pins to members that live."""
    return {
        partition: pins[partition] if pins.get(partition) in members else owner
        for partition, owner in placed.items()
    }
