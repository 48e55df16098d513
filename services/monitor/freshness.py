"""Looks at what shard owners announce: is every shard served, how far behind, how fresh."""

from collections.abc import Mapping

from prometheus_client import Gauge

from services.monitor.alerts import AlertBook
from services.monitor.domain.shards import Movement, behind, idle, movements, stale, unserved
from services.monitor.settings import Settings
from shared.ports import Clock
from shared.registry import Registry

shards_ready = Gauge("headrace_shards_ready", "Shards with an owner that is ready", ("generation",))


class ShardWatch:
    """Turns the registry into observations."""

    def __init__(self, settings: Settings, registry: Registry, alerts: AlertBook, *, clock: Clock) -> None:
        self._clock = clock
        self._moved: Mapping[int, Movement] = {}
        self._partitions = settings.partitions
        self._generation = settings.generation
        self._objective = settings.monitor.objective
        self._policy = settings.monitor.shard_alerts
        self._registry = registry
        self._alerts = alerts

    async def look(self, epoch: int) -> None:
        """Observe service, lag and freshness of every shard."""
        owners = await self._registry.owners()
        shards_ready.labels(self._generation).set(len({o.partition for o in owners if o.ready}))
        now = self._clock.now()
        self._moved = movements(self._moved, owners, now)
        resting = idle(self._moved, owners, now=now, after=self._objective.idle_after)
        fresh = stale(owners, objective=self._objective, generation=self._generation, idle=resting)
        seen = [
            *unserved(owners, partitions=self._partitions, generation=self._generation),
            *behind(owners, objective=self._objective, generation=self._generation),
            *([] if fresh is None else [fresh]),
        ]
        await self._alerts.observe(seen, policy=self._policy, epoch=epoch)
