"""Wires freshness: the watches over shards, readers and what routers forward."""

from datetime import timedelta
from functools import partial

from services.monitor.dependencies import MonitorDependencies
from services.monitor.feature import Feature, PeriodicWatch
from services.monitor.freshness.forwarding import ForwardingWatch
from services.monitor.freshness.older import OlderWatch
from services.monitor.freshness.readers import ReaderWatch
from services.monitor.freshness.settings import FreshnessSettings
from services.monitor.freshness.shards import ShardWatch
from shared.cluster.registry import ReaderRegistry
from shared.settings import Settings


def wire(
    settings: Settings, section: FreshnessSettings, dependencies: MonitorDependencies, *, grace: timedelta
) -> Feature:
    """Return the watches."""
    partitions = settings.partitions
    shards = ShardWatch(section, dependencies, partitions=partitions, grace=grace)
    registry = partial(ReaderRegistry, dependencies.redis, settings.namespace)
    readers = ReaderWatch(section, dependencies, registry=registry, partitions=partitions, grace=grace)
    forwarding = ForwardingWatch(section, dependencies, installation=settings, registry=registry)
    older = OlderWatch(section, dependencies, installation=settings)
    return Feature(
        watches=[
            PeriodicWatch(name="shards", every=section.every, tick=shards.tick),
            PeriodicWatch(name="readers", every=section.every, tick=readers.tick),
            PeriodicWatch(name="forwarding", every=section.every, tick=forwarding.tick),
            PeriodicWatch(name="older", every=section.every, tick=older.tick),
        ]
    )
