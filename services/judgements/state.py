"""A partition's state in Redis as its owner knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from services.judgements.incarnation import state_keys
from shared.records import Applied, Log
from shared.state.fenced import FencedState, StateClaim, StateFields, StateKeys
from shared.state.redis import text, transient


@dataclass(slots=True, kw_only=True)
class JudgementState(FencedState):
    """A join's or a window's state that this process has taken over."""

    incarnation: int
    topic: str
    clock: int
    first: int
    done: Applied | None = None
    """What became of the last batch."""
    against: str = ""
    """The expectations that every pair was last marked to be published against."""
    marking: tuple[str, int] = ("", 0)
    """The expectations that pairs are being marked for, and the cursor it has come to."""


def numbers(raw: Mapping[bytes | str, bytes | str]) -> dict[str, int]:
    """Return a hash of counts."""
    return {text(name): int(number) for name, number in raw.items()}


async def scan_queries(redis: Redis, keys: StateKeys, cursor: int) -> tuple[int, list[str]]:
    """Return the next cursor (0 at the end) and about a hundred queries that a window counts for."""
    with transient():
        following, queries = await redis.zscan(keys.key("oldest"), cursor, count=100)
    return following, [text(cast("bytes | str", query)) for query, _ in queries]


class States:
    """The states of one kind ("join" or "window"), one for each of `count` partition numbers."""

    def __init__(self, redis: Redis, namespace: str, kind: str, *, count: int) -> None:
        self.count = count
        self._namespace = namespace
        self._kind = kind
        self._redis = redis
        self._claim = StateClaim(redis)

    def keys(self, number: int, incarnation: int) -> StateKeys:
        """Return the keys of a partition's state."""
        return state_keys(self._namespace, f"{self._kind}-{number}", incarnation)

    async def sequence(self, number: int, incarnation: int) -> int:
        """Return the number of the last outcome that a join has made; 0: none."""
        with transient():
            return int(await self._redis.hget(self.keys(number, incarnation).state, "sequence") or 0)

    async def claim(
        self, number: int, incarnation: int, *, topic: str, log: Log, create: bool
    ) -> JudgementState | None:
        """Take the state over with a new epoch; None when there is none and none is to be created."""
        keys, fields = self.keys(number, incarnation), StateFields.of_log(topic)
        other = (f"clock:{topic}", "first")
        claimed = await self._claim(keys, fields, log=log, other=other, create=create)
        if claimed is None:
            return None
        clock, first = (int(value or 0) for value in claimed.other)
        return JudgementState(
            keys,
            claimed.epoch,
            claimed.next_offset,
            fields,
            incarnation=incarnation,
            topic=topic,
            clock=clock,
            first=first,
        )
