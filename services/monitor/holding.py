"""What a monitor holds of the partitions it reads: fields of a hash, which move with the next offset."""

from collections.abc import Callable, Sequence
from typing import Literal

from redis.asyncio import Redis

from shared.adapters.redis import Script
from shared.records import Partition

CLAIM = """
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
return {epoch, redis.call('HGET', KEYS[1], 'next')}
"""
WRITE = """
local fence = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if fence > tonumber(ARGV[1]) then
  return redis.error_reply('FENCED epoch ' .. string.format('%.0f', fence) .. ' holds this partition')
end
if redis.call('HGET', KEYS[1], 'next') == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'next', ARGV[2])
for i = 4, #ARGV, 2 do redis.call(ARGV[3], KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
"""
Keys = tuple[str, str]
"""Of epoch and next offset, and of the fields."""


class Holding:
    """Epochs and offsets of the partitions in hand; `keys` names a partition's two hashes."""

    def __init__(self, redis: Redis, keys: Callable[[Partition], Keys]) -> None:
        self._keys = keys
        self._epochs: dict[Partition, int] = {}
        self._claim = Script(redis, CLAIM)
        self._write = Script(redis, WRITE)

    async def claim(self, partition: Partition) -> int | None:
        """Take over with a new epoch; return the first offset that has not counted."""
        epoch, following = await self._claim(keys=self._keys(partition)[:1])
        self._epochs[partition] = int(epoch)
        return None if following is None else int(following)

    def drop(self, partition: Partition) -> None:
        """Forget the epoch."""
        self._epochs.pop(partition, None)

    async def write(
        self,
        partition: Partition,
        changes: Sequence[str | int],
        *,
        how: Literal["HINCRBY", "HSET"],
        next_offset: int,
    ) -> None:
        """Change fields (name, value, name, value, ...) and the offset at once; a second time, nothing.

        Raises `FencedError` when another monitor has taken the partition over.
        """
        await self._write(
            keys=self._keys(partition), args=[self._epochs[partition], next_offset, how, *changes]
        )
