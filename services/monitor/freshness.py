"""Looks at what shard owners announce: is every shard served, how far behind, how fresh."""

from prometheus_client import Gauge

from services.monitor.alerts import AlertBook
from services.monitor.domain.shards import behind, stale, unserved
from services.monitor.settings import Settings
from shared.registry import Registry

shards_ready = Gauge("headrace_shards_ready", "Shards with an owner that is ready", ("generation",))


class ShardWatch:
    """Turns the registry into observations."""

    def __init__(self, settings: Settings, registry: Registry, alerts: AlertBook) -> None:
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
        fresh = stale(owners, objective=self._objective, generation=self._generation)
        seen = [
            *unserved(owners, partitions=self._partitions, generation=self._generation),
            *behind(owners, objective=self._objective, generation=self._generation),
            *([] if fresh is None else [fresh]),
        ]
        await self._alerts.observe(seen, policy=self._policy, epoch=epoch)
