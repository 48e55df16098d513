"""The plainest fenced state: a hash of numbers or texts, which changes only together with the offset."""

from collections.abc import Mapping
from typing import Protocol

from redis.asyncio import Redis

from shared.records import UNKNOWN_LOG, Log
from shared.state.fenced import FencedScript, FencedState, StateClaim, StateKeys, remove
from shared.state.redis import text, transient

CHANGE = """
for i = 3, #ARGV, 2 do redis.call(ARGV[2], prefix .. '{name}', ARGV[i], ARGV[i + 1]) end
return 'done'
"""


class FencedHash(Protocol):
    """What a worker counts of a log, kept by the rule of `shared.state.fenced`.

    Every write raises `FencedError` when a newer owner holds the state, `StateLostError` when it is older
    than we left it, `StateGoneError` when it is gone, and changes nothing then. A claim raises
    `LogReplacedError` when the state is of another log.
    """

    async def claim(self, keys: StateKeys, *, seen_epoch: int = 0, log: Log = UNKNOWN_LOG) -> FencedState:
        """Take the state over, under an epoch above every one before it."""
        ...

    async def add(self, held: FencedState, amounts: Mapping[str, int], *, next_offset: int) -> bool:
        """Add to fields and move the offset; False: this batch was in the state already."""
        ...

    async def put(self, held: FencedState, values: Mapping[str, str], *, next_offset: int) -> bool:
        """Replace fields and move the offset; False: this batch was in the state already."""
        ...

    async def read(self, keys: StateKeys) -> dict[str, str]:
        """Return all fields, whoever owns them."""
        ...

    async def remove(self, keys: StateKeys) -> None:
        """Remove the state and its fields."""
        ...


class RedisHash:
    """A `FencedHash` in Redis; `name` is the key of the fields."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._name = name
        self._claim = StateClaim(redis)
        self._change = FencedScript(redis, CHANGE.format(name=name))

    async def claim(self, keys: StateKeys, *, seen_epoch: int = 0, log: Log = UNKNOWN_LOG) -> FencedState:
        """Take the state over, under an epoch above every one before it."""
        claimed = await self._claim(keys, seen_epoch=seen_epoch, log=log)
        assert claimed is not None  # noqa: S101 - created when it was not there
        return FencedState(keys, claimed.epoch, claimed.next_offset)

    async def add(self, held: FencedState, amounts: Mapping[str, int], *, next_offset: int) -> bool:
        """Add to fields and move the offset; False: this batch was in the state already."""
        return await self._write("HINCRBY", held, amounts, next_offset=next_offset)

    async def put(self, held: FencedState, values: Mapping[str, str], *, next_offset: int) -> bool:
        """Replace fields and move the offset; False: this batch was in the state already."""
        return await self._write("HSET", held, values, next_offset=next_offset)

    async def read(self, keys: StateKeys) -> dict[str, str]:
        """Return all fields, whoever owns them."""
        with transient():
            stored = await self._redis.hgetall(keys.key(self._name))
        return {text(name): text(value) for name, value in stored.items()}

    async def remove(self, keys: StateKeys) -> None:
        """Remove the state and its fields."""
        await remove(self._redis, keys, self._name)

    async def _write(
        self, how: str, held: FencedState, changes: Mapping[str, str | int], *, next_offset: int
    ) -> bool:
        pairs = [part for change in changes.items() for part in change]
        return await self._change.apply(held, how, *pairs, next_offset=next_offset) is not None
