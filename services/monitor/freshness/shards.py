"""Watches what shard owners announce: is every shard served, how far behind, how fresh."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from prometheus_client import Gauge

from services.monitor.alerts.domain.grace import Grace
from services.monitor.alerts.domain.observation import Observation
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.domain.movement import Movement, movements
from services.monitor.freshness.domain.shards import behind, idle, stale, unserved
from services.monitor.freshness.domain.work import unless_left_out
from services.monitor.freshness.settings import FreshnessSettings
from services.monitor.generations import applied_offsets
from shared.cluster.members import OwnerRecord

shards_ready = Gauge("headrace_shards_ready", "Shards with an owner that is ready", ("generation",))


class ShardWatch:
    """Turns the registry into observations, for every live generation."""

    def __init__(
        self,
        settings: FreshnessSettings,
        dependencies: MonitorDependencies,
        *,
        partitions: int,
        grace: timedelta,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._generations = dependencies.generations
        self._alerts = dependencies.alerts
        self._clock = dependencies.clock
        self._movements: dict[str, Mapping[int, Movement]] = {}
        self._grace = Grace(span=grace)

    async def tick(self, epoch: int) -> None:
        """Observe service, lag and freshness of every shard."""
        live = await self._generations.live()
        self._movements = {name: moves for name, moves in self._movements.items() if name in live}
        observations: list[Observation] = []
        for generation in live:
            owners = await self._generations.registry(generation).owners()
            observations += [
                unless_left_out(observation, "shards", self._settings.workers)
                for observation in self._observe(generation, owners)
            ]
        self._grace, counted = self._grace.admit(observations, self._clock.now())
        await self._alerts.observe(counted, policy=self._settings.alerts, epoch=epoch)

    def _observe(self, generation: str, owners: Sequence[OwnerRecord]) -> list[Observation]:
        now, objective = self._clock.now(), self._settings.objective
        shards_ready.labels(generation).set(len({owner.partition for owner in owners if owner.ready}))
        moves = movements(self._movements.get(generation, {}), applied_offsets(owners), now)
        self._movements[generation] = moves
        resting = idle(moves, owners, now=now, after=objective.idle_after)
        freshness = stale(owners, objective=objective, generation=generation, idle=resting)
        return [
            *unserved(owners, partitions=self._partitions, generation=generation),
            *behind(owners, moves, objective=objective, generation=generation, now=now),
            *([] if freshness is None else [freshness]),
        ]
