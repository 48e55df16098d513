"""Watches how right the published negatives are."""

from collections.abc import Awaitable, Callable

from services.monitor.alerts.store import AlertStore
from services.monitor.negatives.domain.precision import negative_precision
from services.monitor.negatives.settings import NegativePrecisionSettings


class NegativePrecisionWatch:
    """Turns what the miner counts into one observation; `read` gives the two counts."""

    def __init__(
        self,
        settings: NegativePrecisionSettings,
        alerts: AlertStore,
        read: Callable[[], Awaitable[tuple[int, int]]],
    ) -> None:
        self._settings = settings
        self._alerts = alerts
        self._read = read

    async def tick(self, epoch: int) -> None:
        """Observe the counts once."""
        observation = negative_precision(*await self._read(), self._settings.rule)
        await self._alerts.observe([observation], policy=self._settings.alerts, epoch=epoch)
