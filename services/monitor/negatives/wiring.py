"""Wires the negatives: the watch over what the miner counts."""

from functools import partial

from services.monitor.dependencies import MonitorDependencies
from services.monitor.feature import Feature, PeriodicWatch
from services.monitor.negatives.settings import NegativePrecisionSettings
from services.monitor.negatives.watch import NegativePrecisionWatch
from shared.cluster.miner import read_precision
from shared.settings import Settings


def wire(
    settings: Settings, section: NegativePrecisionSettings, dependencies: MonitorDependencies
) -> Feature:
    """Return the watch."""
    read = partial(read_precision, dependencies.redis, settings.namespace)
    watch = NegativePrecisionWatch(section, dependencies.alerts, read)
    return Feature(watches=[PeriodicWatch(name="negatives", every=section.every, tick=watch.tick)])
