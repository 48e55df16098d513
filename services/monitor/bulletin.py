"""The open alerts as the topic has them, of every worker; the topic is compared with the store."""

import structlog
from prometheus_client import Gauge

from schemas.alerts import Alert
from services.monitor.alerts import AlertBook, open_alerts
from services.monitor.domain.findings import retired
from services.monitor.domain.life import Policy
from services.monitor.generations import Generations
from shared.compacted import CompactedTopic

open_now = Gauge("headrace_open_alerts", "Alerts that are not resolved", ("severity",))
log = structlog.get_logger()


class Bulletin:
    """What `GET /alerts` shows."""

    def __init__(self, topic: CompactedTopic, alerts: AlertBook, generations: Generations) -> None:
        self._topic = topic
        self._alerts = alerts
        self._generations = generations
        self._orphans: set[str] = set()

    def open(self) -> list[Alert]:
        """Return the alerts that are not resolved, most severe and oldest first."""
        return open_alerts(self._topic.items)

    async def look(self, epoch: int) -> None:
        """Publish what a kill left, and what the topic lost; adopt what Redis lost; close what is over."""
        await self._alerts.publish(epoch=epoch)
        await self._adopt(epoch)
        over = retired(await self._alerts.lives(), await self._generations.live())
        await self._alerts.observe(over, policy=Policy(), epoch=epoch)
        if repaired := await self._alerts.repair(self._topic.items, epoch=epoch):
            log.warning("alerts.repaired", keys=repaired)
        severities = [alert.severity for alert in self.open()]
        for severity in ("info", "warning", "critical"):
            open_now.labels(severity).set(severities.count(severity))

    async def _adopt(self, epoch: int) -> None:
        """Adopt what was an orphan at the last look already: the topic may be a moment behind the store."""
        orphans = await self._alerts.orphans(self._topic.items)
        alone = [alert for alert in orphans if alert.alert_key in self._orphans]
        await self._alerts.adopt(alone, epoch=epoch)
        if alone:
            log.warning("alerts.adopted", keys=[alert.alert_key for alert in alone])
        self._orphans = {alert.alert_key for alert in orphans}
