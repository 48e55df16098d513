"""Looks at what shard owners announce: is every shard served, how far behind, how fresh."""

from collections.abc import Mapping, Sequence

from prometheus_client import Gauge

from services.monitor.alerts import AlertBook
from services.monitor.domain.grace import Grace
from services.monitor.domain.movement import Movement, movements
from services.monitor.domain.observation import Observation
from services.monitor.domain.shards import behind, idle, position, stale, unserved
from services.monitor.generations import Generations
from services.monitor.settings import Settings
from shared.ports import Clock
from shared.registry import OwnerRecord

shards_ready = Gauge("headrace_shards_ready", "Shards with an owner that is ready", ("generation",))


class ShardWatch:
    """Turns the registry into observations, for every live generation."""

    def __init__(
        self, settings: Settings, generations: Generations, alerts: AlertBook, *, clock: Clock
    ) -> None:
        self._clock = clock
        self._moved: dict[str, Mapping[int, Movement]] = {}
        self._grace = Grace(span=settings.monitor.grace)
        self._partitions = settings.partitions
        self._objective = settings.monitor.objective
        self._policy = settings.monitor.shard_alerts
        self._generations = generations
        self._alerts = alerts

    async def look(self, epoch: int) -> None:
        """Observe service, lag and freshness of every shard."""
        live = await self._generations.live()
        self._moved = {name: moved for name, moved in self._moved.items() if name in live}
        seen: list[Observation] = []
        for generation in live:
            owners = await self._generations.registry(generation).owners()
            seen += self._observe(generation, owners)
        self._grace, news = self._grace.admit(seen, self._clock.now())
        await self._alerts.observe(news, policy=self._policy, epoch=epoch)

    def _observe(self, generation: str, owners: Sequence[OwnerRecord]) -> list[Observation]:
        now = self._clock.now()
        shards_ready.labels(generation).set(len({o.partition for o in owners if o.ready}))
        moved = self._moved[generation] = movements(self._moved.get(generation, {}), position(owners), now)
        resting = idle(moved, owners, now=now, after=self._objective.idle_after)
        fresh = stale(owners, objective=self._objective, generation=generation, idle=resting)
        return [
            *unserved(owners, partitions=self._partitions, generation=generation),
            *behind(owners, objective=self._objective, generation=generation),
            *([] if fresh is None else [fresh]),
        ]
