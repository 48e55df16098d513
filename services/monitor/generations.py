"""Which generations of the index are watched."""

from datetime import timedelta

from redis.asyncio import Redis

from shared.ports import Clock
from shared.registry import Registry, generations

OUT_OF_ORDER = timedelta(minutes=5)
"""A generation whose owners have died is watched for so long; one that was shut down, not at all."""


class Generations:
    """The configured generation always; any other one while it is served, or has died a moment ago."""

    def __init__(self, redis: Redis, *, namespace: str, configured: str, clock: Clock) -> None:
        self._redis = redis
        self._namespace = namespace
        self._configured = configured
        self._clock = clock

    async def live(self) -> list[str]:
        """Return their names, sorted."""
        since = self._clock.now() - OUT_OF_ORDER
        return sorted({self._configured, *await generations(self._redis, self._namespace, since=since)})

    def registry(self, generation: str) -> Registry:
        """Return the owners of one."""
        return Registry(self._redis, self._namespace, generation)
