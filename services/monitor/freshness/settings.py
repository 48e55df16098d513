"""The section of freshness: `[monitor.freshness]`."""

from datetime import timedelta

from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.freshness.domain.shards import FreshnessObjective
from services.monitor.freshness.domain.work import WATCHED, WatchedWorker
from shared.section import Duration, Section


class FreshnessSettings(Section):
    """Which shards and readers are watched, against which objective, and when that is an alert."""

    every: Duration = timedelta(seconds=5)
    objective: FreshnessObjective = FreshnessObjective()
    workers: frozenset[WatchedWorker] = WATCHED
    """Which of them this installation runs: one that is missing, or does not read on, is an alert."""
    alerts: AlertPolicy = AlertPolicy(fire_after=4)
