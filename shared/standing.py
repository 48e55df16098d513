"""What each worker says of the generations that it serves: in Redis, and forgotten when the worker is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from redis.asyncio import Redis

from schemas.base import GenerationName, Timestamp, Value
from shared.adapters.redis import text, transient
from shared.ports import Clock
from shared.settings import Settings

HEARD = timedelta(seconds=10)
"""Who has said nothing for so long is dead."""
FORGOTTEN = timedelta(hours=1)


class Standing(Value):
    """How one process is getting on with one generation."""

    generation: GenerationName
    status: Literal["starting", "running", "failed"]
    reason: str = ""
    """What it waits for, or why it failed."""
    refused: bool = False
    """It failed for good: the model is not what it should be."""
    worker: str = ""
    instance: str = ""
    updated_at: Timestamp | None = None


class Standings:
    """The board of all of them; `worker` is who speaks on it."""

    def __init__(self, redis: Redis, settings: Settings, *, worker: str, clock: Clock) -> None:
        self._redis = redis
        self._key = f"{settings.namespace}:standings"
        self._speaker = {"worker": worker, "instance": settings.member}
        self._name = f"{worker}/{settings.member}"
        self._clock = clock
        self._said: set[str] = set()

    async def say(self, standings: Sequence[Standing]) -> None:
        """Say how it is; what was said before of other generations is taken back."""
        update = {**self._speaker, "updated_at": self._clock.now()}
        said = {
            f"{self._name}/{each.generation}": each.model_copy(update=update).model_dump_json()
            for each in standings
        }
        gone = self._said - said.keys()
        with transient():
            if said:
                await self._redis.hset(self._key, items=[part for pair in said.items() for part in pair])
            if gone:
                await self._redis.hdel(self._key, *gone)
        self._said = set(said)

    async def heard(self) -> list[Standing]:
        """Return what the living say, by worker and generation; what the dead said long ago is removed."""
        now = self._clock.now()
        with transient():
            stored = await self._redis.hgetall(self._key)
        found = {text(name): Standing.model_validate_json(value) for name, value in stored.items()}
        ages = {name: now - (each.updated_at or now) for name, each in found.items()}
        if old := [name for name, age in ages.items() if age > FORGOTTEN]:
            with transient():
                await self._redis.hdel(self._key, *old)
        return [found[name] for name in sorted(found) if ages[name] <= HEARD]
