"""Wires drift: the loop that tallies queries and outcomes, the probes, and the watch that judges windows."""

from datetime import timedelta

from services.monitor.dependencies import MonitorDependencies
from services.monitor.drift.probes import Probes
from services.monitor.drift.settings import DriftSettings
from services.monitor.drift.store import DriftStore
from services.monitor.drift.tally_keeper import TallyKeeper
from services.monitor.drift.watch import TOPICS, DriftDependencies, DriftWatch
from services.monitor.feature import Feature, PeriodicWatch
from shared.cluster.registry import ReaderRegistry
from shared.settings import Settings
from shared.streaming.context import BatchLimits
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop, Subscription

READER = "monitor-drift"
SELDOM = BatchLimits(messages=2000, poll=timedelta(seconds=2))
"""A window's tally is written back whole with every batch."""


def wire(settings: Settings, section: DriftSettings, dependencies: MonitorDependencies) -> Feature:
    """Return the loop that tallies, on every monitor, the watch, and `GET /drift`."""
    redis, publisher, clock = dependencies.redis, dependencies.publisher, dependencies.clock
    keeper = TallyKeeper(
        redis,
        namespace=settings.namespace,
        settings=section,
        generations=dependencies.generations,
        clock=clock,
    )
    subscription = Subscription(name=READER, topics=TOPICS, limits=SELDOM)
    loop = PartitionLoop(settings, keeper, subscription=subscription, publisher=publisher, clock=clock)
    watched = DriftDependencies(
        keeper=keeper,
        readers=ReaderRegistry(redis, settings.namespace, READER),
        store=DriftStore(redis, namespace=settings.namespace),
        probes=Probes(settings, section, dependencies),
        generations=dependencies.generations,
        alerts=dependencies.alerts,
        publisher=publisher,
        clock=clock,
    )
    watch = DriftWatch(section, watched, partitions=lambda: loop.partitions)

    async def page() -> dict[str, object]:
        return dict(watch.status())

    return Feature(
        components=[loop, ReaderHeartbeat(settings, loop, redis=redis, clock=clock)],
        watches=[PeriodicWatch(name="drift", every=section.every, tick=watch.tick)],
        pages={"/drift": page},
    )
