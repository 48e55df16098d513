"""What each worker reports of the generations that it serves: in Redis, and forgotten when the worker is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from redis.asyncio import Redis

from schemas.base import GenerationName, Timestamp, Value
from shared.ports import Clock
from shared.settings import Settings
from shared.state.redis import text, transient

HEARD = timedelta(seconds=10)
"""Who has reported nothing for so long is dead."""
FORGOTTEN = timedelta(hours=1)


class GenerationStatus(Value):
    """How one process is getting on with one generation."""

    generation: GenerationName
    status: Literal["starting", "running", "failed"]
    reason: str = ""
    """What it waits for, or why it failed."""
    refused: bool = False
    """It failed for good, and is tried no more: its model is not what it should be, or did not come."""
    worker: str = ""
    instance: str = ""
    updated_at: Timestamp | None = None


class GenerationStatusBoard:
    """The board of all of them; `worker` is who writes on it."""

    def __init__(self, redis: Redis, settings: Settings, *, worker: str, clock: Clock) -> None:
        self._redis = redis
        self._key = f"{settings.namespace}:standings"
        self._writer = {"worker": worker, "instance": settings.member}
        self._name = f"{worker}/{settings.member}"
        self._clock = clock
        self._reported: set[str] = set()

    async def report(self, statuses: Sequence[GenerationStatus]) -> None:
        """Write how each generation is getting on; what was written before of others is taken back."""
        update = {**self._writer, "updated_at": self._clock.now()}
        reports = {
            f"{self._name}/{status.generation}": status.model_copy(update=update).model_dump_json()
            for status in statuses
        }
        gone = self._reported - reports.keys()
        with transient():
            if reports:
                await self._redis.hset(self._key, items=[item for pair in reports.items() for item in pair])
            if gone:
                await self._redis.hdel(self._key, *gone)
        self._reported = set(reports)

    async def reports(self) -> list[GenerationStatus]:
        """Return what the living report, by worker and generation; what is long out of date is removed."""
        now = self._clock.now()
        with transient():
            stored = await self._redis.hgetall(self._key)
        statuses = {text(name): GenerationStatus.model_validate_json(value) for name, value in stored.items()}
        ages = {name: now - (status.updated_at or now) for name, status in statuses.items()}
        if old := [name for name, age in ages.items() if age > FORGOTTEN]:
            with transient():
                await self._redis.hdel(self._key, *old)
        return [statuses[name] for name in sorted(statuses) if ages[name] <= HEARD]
