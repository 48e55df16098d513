"""The memory of the drift watch in Redis, written whole and fenced by the leader's epoch."""

from collections.abc import Mapping

from redis.asyncio import Redis

from shared.state.fenced import LeaderScript
from shared.state.redis import raw, text, transient

STORE = """
redis.call('DEL', KEYS[2])
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
"""


class DriftStore:
    """One hash: a detector's arrays under each name, and the last window that was judged with them."""

    def __init__(self, redis: Redis, *, namespace: str) -> None:
        base = f"{namespace}:{{monitor}}"
        self._redis = redis
        self._keys = (f"{base}:fence", f"{base}:drift")
        self._store = LeaderScript(redis, STORE)

    async def load(self) -> dict[str, bytes]:
        """Return what is remembered, by name; nothing at first."""
        with transient():
            stored = await self._redis.hgetall(self._keys[1])
        return {text(name): raw(memory) for name, memory in stored.items()}

    async def store(self, memories: Mapping[str, bytes], *, epoch: int) -> None:
        """Replace all of it in one step."""
        parts: list[str | bytes] = [part for pair in memories.items() for part in pair]
        await self._store(keys=self._keys, epoch=epoch, args=parts)
