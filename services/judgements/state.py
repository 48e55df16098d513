"""A partition's state in Redis as its owner knows it, and the scripts that move it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.judgements import lua
from services.judgements.incarnation import state_key
from shared.adapters.redis import Script, text, transient
from shared.errors import FatalError
from shared.records import Applied

LOST = "LOST"


@dataclass(slots=True)
class Held:
    """What the owner of a partition holds: the state's key, its epoch, and where it has come to."""

    incarnation: int
    key: str
    topic: str
    epoch: int
    next_offset: int
    clock: int
    first: int
    done: Applied | None = None
    """What became of the last batch."""
    against: str = ""
    """The expectations that every pair was last marked to be published against."""
    marking: tuple[str, int] = ("", 0)
    """The expectations that pairs are being marked for, and the cursor it has come to."""

    @property
    def resume_at(self) -> int | None:
        """The next offset to read, or None for a state that has seen nothing."""
        return None if self.next_offset < 0 else self.next_offset


def numbers(raw: Mapping[bytes | str, bytes | str]) -> dict[str, int]:
    """Return a hash of counts."""
    return {text(name): int(number) for name, number in raw.items()}


async def scan_queries(redis: Redis, state: str, cursor: int) -> tuple[int, list[str]]:
    """Return the next cursor (0 at the end) and about a hundred queries that a window counts for."""
    with transient():
        following, found = await redis.zscan(state.removesuffix("state") + "oldest", cursor, count=100)
    return following, [text(cast("bytes | str", query)) for query, _ in found]


class States:
    """The states of one kind ("join" or "window"), one for each partition number."""

    def __init__(self, redis: Redis, namespace: str, kind: str) -> None:
        self._redis = redis
        self._namespace = namespace
        self._kind = kind
        self._claim = Script(redis, lua.source("claim", guarded=False))

    def key(self, number: int, incarnation: int) -> str:
        """Return the key of a partition's state hash."""
        return state_key(self._namespace, f"{self._kind}-{number}", incarnation)

    async def claim(self, number: int, incarnation: int, *, topic: str, create: bool) -> Held | None:
        """Take the state over with a new epoch; None when there is none and none is to be created."""
        key = self.key(number, incarnation)
        found = await self._claim(keys=[key], args=[topic, int(create)])
        if found is None:
            return None
        epoch, next_offset, clock, first = map(int, found)
        return Held(incarnation, key, topic, epoch, next_offset, clock, first)


class GuardedScript:
    """A script behind `guard.lua`: raises `FencedError` for an old epoch, `FatalError` for a lost state."""

    def __init__(self, redis: Redis, *parts: str) -> None:
        first, *rest = parts
        self._script = Script(
            redis, lua.source(first) + "".join(lua.source(part, guarded=False) for part in rest)
        )

    async def __call__(self, held: Held, **batch: object) -> Any:  # Any: the script decides
        """Run it on the state that `held` names; the batch's content goes as JSON."""
        return await self._run(held, batch)

    async def apply(self, held: Held, *, next_offset: int, **batch: object) -> Any:  # Any: as above
        """Run it with its offset step: at most once, whatever is repeated. None: it had been applied."""
        reply = await self._run(held, {"from": held.next_offset, "next": next_offset, **batch})
        held.next_offset = next_offset
        return None if reply == b"again" else reply

    async def _run(self, held: Held, batch: Mapping[str, object]) -> Any:  # Any: as above
        text = orjson.dumps({"topic": held.topic, "epoch": held.epoch, **batch})
        try:
            return await self._script(keys=[held.key], args=[text])
        except ResponseError as error:
            if LOST in str(error):
                raise FatalError(
                    f"Redis lost judgement state that this worker held ({error}): "
                    "start the worker again, and it will be rebuilt from the topics"
                ) from error
            raise
