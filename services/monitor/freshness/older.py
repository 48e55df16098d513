"""Watches whether changes of the catalogue are older than what is known of their products."""

from collections.abc import Iterator, Mapping

from schemas.alerts import alert_key
from services.monitor.alerts.domain.state import AlertState
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.domain.older import OLDER_CHANGES, older_changes
from services.monitor.freshness.settings import FreshnessSettings
from shared.generations.homes import read_older
from shared.settings import Settings


class OlderWatch:
    """Turns what the embedders remember into one observation a line of versions."""

    def __init__(
        self, settings: FreshnessSettings, dependencies: MonitorDependencies, *, installation: Settings
    ) -> None:
        self._settings = settings
        self._redis = dependencies.redis
        self._alerts = dependencies.alerts
        self._clock = dependencies.clock
        self._generations = dependencies.generations
        self._installation = installation
        self._known: dict[str, set[str]] = {}

    async def tick(self, epoch: int) -> None:
        """Observe every line that is remembered, or was, or that another monitor raised an alert about."""
        namespace, homes = self._installation.namespace, self._installation.partitions
        observations, states = [], await self._alerts.states()
        for generation in await self._generations.live():
            lines = await read_older(self._redis, namespace, generation, homes=homes)
            known = self._known.setdefault(generation, set())
            known.update(lines, _alerted(states, generation))
            observations += [
                older_changes(line, lines.get(line, {}), generation=generation, now=self._clock.now())
                for line in sorted(known)
            ]
        await self._alerts.observe(observations, policy=self._settings.alerts, epoch=epoch)


def _alerted(states: Mapping[str, AlertState], generation: str) -> Iterator[str]:
    """Yield the lines that an alert of the generation is open about."""
    for state in states.values():
        alert = state.alert if state.firing else None
        line = "" if alert is None else str(alert.evidence.get("line", ""))
        if alert is not None and alert.alert_key == alert_key(OLDER_CHANGES, f"{generation}:{line}"):
            yield line
