"""The open alerts as the topic has them, of every worker; the topic is compared with the store."""

import structlog
from prometheus_client import Gauge

from schemas.alerts import Alert
from services.monitor.alerts.domain.retirement import retired
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.alerts.store import AlertStore, open_alerts
from services.monitor.generations import WatchedGenerations
from shared.kafka.compacted import CompactedTopic

open_now = Gauge("headrace_open_alerts", "Alerts that are not resolved", ("severity",))
log = structlog.get_logger()


class OpenAlertReconciler:
    """Keeps topic and store in agreement, whichever of the two lost something; `GET /alerts` shows `open`."""

    def __init__(self, topic: CompactedTopic, alerts: AlertStore, generations: WatchedGenerations) -> None:
        self._topic = topic
        self._alerts = alerts
        self._generations = generations
        self._orphans: set[str] = set()

    def open(self) -> list[Alert]:
        """Return the alerts that are not resolved, most severe and oldest first."""
        return open_alerts(self._topic.items)

    async def tick(self, epoch: int) -> None:
        """Publish what a kill left, and what the topic lost; adopt what Redis lost; close what is over."""
        await self._alerts.publish(epoch=epoch)
        await self._adopt(epoch)
        over = retired(await self._alerts.states(), await self._generations.live())
        await self._alerts.observe(over, policy=AlertPolicy(), epoch=epoch)
        if repaired := await self._alerts.repair(self._topic.items, epoch=epoch):
            log.warning("alerts.repaired", keys=repaired)
        severities = [alert.severity for alert in self.open()]
        for severity in ("info", "warning", "critical"):
            open_now.labels(severity).set(severities.count(severity))

    async def _adopt(self, epoch: int) -> None:
        """Adopt what was an orphan at the last tick already: the topic may be a moment behind the store."""
        orphans = await self._alerts.orphans(self._topic.items)
        forsaken = [alert for alert in orphans if alert.alert_key in self._orphans]
        await self._alerts.adopt(forsaken, epoch=epoch)
        if forsaken:
            log.warning("alerts.adopted", keys=[alert.alert_key for alert in forsaken])
        self._orphans = {alert.alert_key for alert in orphans}
