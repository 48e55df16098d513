"""Which generations of the index are watched."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from redis.asyncio import Redis

from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry, generations
from shared.generations.state import Generations
from shared.ports import Clock

OUT_OF_ORDER = timedelta(minutes=5)
"""A generation whose owners have died is watched for so long; one that was shut down, not at all."""


class WatchedGenerations:
    """Those of `rollout.v1` that are not retired, and any other one that is served, or died a moment ago."""

    def __init__(
        self, redis: Redis, *, namespace: str, state: Callable[[], Generations], clock: Clock
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._state = state
        self._clock = clock

    async def live(self) -> list[str]:
        """Return the names of those that must be in order, sorted: one that is being built need not."""
        since = self._clock.now() - OUT_OF_ORDER
        announced = await generations(self._redis, self._namespace, since=since)
        state = self._state()
        unwatched = {generation.name for generation in state.of("building", "retired")}
        return sorted({*state.served, *announced} - unwatched)

    def building(self) -> list[str]:
        """Return the names of those that are being built: their canaries are run, and alert nobody."""
        return [generation.name for generation in self._state().of("building")]

    def registry(self, generation: str) -> OwnerRegistry:
        """Return the registry of a generation's shard owners."""
        return OwnerRegistry(self._redis, self._namespace, generation)

    def threshold(self, generation: str) -> float | None:
        """Return the similarity below which a product is a weak answer, as fitted with the model."""
        model = self._state().model(generation)
        return model.threshold if model else None


def applied_offsets(owners: Iterable[OwnerRecord]) -> dict[int, int]:
    """Return each shard's furthest next offset; it moves when a catalogue batch was applied."""
    furthest: dict[int, int] = {}
    for owner in owners:
        furthest[owner.partition] = max(owner.next_offset, furthest.get(owner.partition, 0))
    return furthest
