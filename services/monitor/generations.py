"""Which generations of the index are watched."""

from collections.abc import Callable
from datetime import timedelta

from redis.asyncio import Redis

from shared.generations import Generations as State
from shared.ports import Clock
from shared.registry import Registry, generations

OUT_OF_ORDER = timedelta(minutes=5)
"""A generation whose owners have died is watched for so long; one that was shut down, not at all."""


class Generations:
    """Those of `rollout.v1` that are not retired, and any other one that is served, or died a moment ago."""

    def __init__(self, redis: Redis, *, namespace: str, state: Callable[[], State], clock: Clock) -> None:
        self._redis = redis
        self._namespace = namespace
        self._state = state
        self._clock = clock

    async def live(self) -> list[str]:
        """Return the names of those that must be in order, sorted: one that is being built need not."""
        since = self._clock.now() - OUT_OF_ORDER
        found = {*self._state().served, *await generations(self._redis, self._namespace, since=since)}
        return sorted(found - {each.name for each in self._state().of("building", "retired")})

    def building(self) -> list[str]:
        """Return the names of those that are being built: their canaries are run, and alert nobody."""
        return [each.name for each in self._state().of("building")]

    def registry(self, generation: str) -> Registry:
        """Return the owners of one."""
        return Registry(self._redis, self._namespace, generation)

    def threshold(self, name: str) -> float | None:
        """Return the similarity below which a product is a weak answer, as fitted for the one's model."""
        model = self._state().model(name)
        return model.threshold if model else None
