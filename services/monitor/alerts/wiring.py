"""Wires the alerts: the topic that everybody raises them on, and what keeps it and the store in agreement."""

from datetime import timedelta

from schemas.alerts import Alert
from services.monitor.alerts.reconciler import OpenAlertReconciler
from services.monitor.alerts.store import AlertStore
from services.monitor.feature import Feature, PeriodicWatch
from services.monitor.generations import WatchedGenerations
from shared.kafka.compacted import CompactedTopic
from shared.settings import Settings

RECONCILED_EVERY = timedelta(seconds=5)


def wire(settings: Settings, *, alerts: AlertStore, generations: WatchedGenerations) -> Feature:
    """Return the reconciler of open alerts, and `GET /alerts`: the open ones, of every worker."""
    topic = CompactedTopic(settings, Alert.topic)
    reconciler = OpenAlertReconciler(topic, alerts, generations)

    async def page() -> dict[str, object]:
        return {"alerts": [alert.model_dump(mode="json") for alert in reconciler.open()]}

    return Feature(
        components=[topic],
        watches=[PeriodicWatch(name="alerts", every=RECONCILED_EVERY, tick=reconciler.tick)],
        pages={"/alerts": page},
    )
