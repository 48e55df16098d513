"""Alerts go onto the bus like everything else."""

from schemas.alerts import Alert
from shared.ports import Publisher, outgoing


class BusAlerts:
    """The `AlertSink` that publishes to `alerts.v1`."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def raise_alert(self, alert: Alert) -> None:
        """Publish the alert; returns when it is acknowledged."""
        await self._publisher.publish([outgoing(alert)])
