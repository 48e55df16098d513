"""A pause that lasts is an alert, one a worker and cause, and its end ends the alert.

It goes straight onto the bus: the monitor, which keeps its alerts in Redis, may wait for the same thing. What
the bus says is the only memory. So a worker that was started again ends what it left open, and of two workers
of a kind the one that still waits has the last word: it says so again and again, and only an alert that
nobody renews is ended by another one.

Where not even the bus takes it, `/readyz`, `/metrics` and the log have it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from prometheus_client import Gauge

from schemas.alerts import PAUSED, Alert
from shared.kafka.compacted import read_items, read_once
from shared.kafka.publisher import publish_once
from shared.pauses import Pause, Pauses
from shared.ports import Clock, outgoing
from shared.process.periodic import Every
from shared.settings import Settings

LOOK = timedelta(seconds=1)
PATIENCE = timedelta(seconds=10)
"""A pause that lasts longer is an alert; a replica that takes over is quicker."""
RENEWED = timedelta(seconds=30)
"""An alert is said again so often while its pause lasts."""
FORSAKEN = 3 * RENEWED
"""An alert that nobody said again for so long is ended by any worker of its kind that does not wait."""
NAMED = 20

paused = Gauge("headrace_paused", "Who waits for what only an operator or time mends", ("cause",))
log = structlog.get_logger()


def alert_key(worker: str, cause: str) -> str:
    """Return the key of the alert of a kind of worker that waits for this."""
    return f"{PAUSED}:{worker}:{cause}"


class Reporter(NamedTuple):
    """Who speaks: a kind of worker, and which of its processes."""

    worker: str
    instance: str


def decide(
    bus: Mapping[str, Alert], lasting: Mapping[str, Pause], by: Reporter, *, now: datetime
) -> list[Alert]:
    """Return the alerts to publish; `bus` has the open ones of this kind of worker by key."""
    keys = {alert_key(by.worker, cause): pause for cause, pause in lasting.items()}
    alerts = []
    for key, pause in keys.items():
        before = bus.get(key)
        if before is None or now - before.updated_at >= RENEWED:
            alerts.append(_alert(key, pause, before, by=by, now=now))
    for key in bus.keys() - keys.keys():
        before = bus[key]
        if before.evidence.get("instance") == by.instance or now - before.updated_at >= FORSAKEN:
            alerts.append(before.model_copy(update={"status": "resolved", "updated_at": now}))
    return alerts


def _alert(key: str, pause: Pause, before: Alert | None, *, by: Reporter, now: datetime) -> Alert:
    return Alert(
        alert_key=key,
        status="updated" if before else "firing",
        severity="critical",
        summary=f"{by.worker} waits: {pause.error.explanation}"[:2000],
        action=f"{pause.error.fix or 'see the log'}; work goes on by itself",
        evidence={"instance": by.instance, "waiting": tuple(pause.waiting[:NAMED])},
        started_at=before.started_at if before else now,
        updated_at=now,
    )


class PauseAlerts:
    """The component of every worker that turns its lasting pauses into alerts."""

    def __init__(self, settings: Settings, worker: str, pauses: Pauses, *, clock: Clock) -> None:
        self._settings = settings
        self._by = Reporter(worker, settings.member)
        self._pauses = pauses
        self._clock = clock
        self._since: dict[str, datetime] = {}
        self._said: set[str] = set()
        """The causes that the bus has from us."""
        self._forsaken = False
        """Whether the bus has what another worker of our kind says, or said before it ended."""
        self._asked: datetime | None = None
        self._every = Every("pause alerts", LOOK, self.tick)

    async def start(self) -> None:
        """Begin."""
        await self._every.start()

    async def stop(self) -> None:
        """End; what is open stays open: whoever comes next ends it."""
        await self._every.stop()
        for cause in self._since:
            paused.remove(cause)
        self._since.clear()

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        await self._every.wait()

    async def tick(self) -> None:
        """Look once; speak with the bus only when there is something to say or to end."""
        now = self._clock.now()
        lasting = self._lasting(now)
        if self._asked is not None and lasting.keys() == self._said:
            changing = bool(lasting) or self._forsaken
            if not changing or now - self._asked < RENEWED:
                return
        bus = await self._on_bus()
        alerts = decide(bus, lasting, self._by, now=now)
        await self._publish(alerts)
        ended = {alert.alert_key for alert in alerts if alert.status == "resolved"}
        self._said, self._asked = set(lasting), now
        self._forsaken = bool(bus.keys() - ended - {alert_key(self._by.worker, cause) for cause in lasting})

    def _lasting(self, now: datetime) -> dict[str, Pause]:
        """Return what has been waited for longer than is patient, and measure."""
        waiting = self._pauses.by_cause()
        for cause in self._since.keys() - waiting.keys():
            del self._since[cause]
            paused.remove(cause)
        for cause, pause in waiting.items():
            self._since.setdefault(cause, now)
            paused.labels(cause).set(len(pause.waiting))
        return {cause: pause for cause, pause in waiting.items() if now - self._since[cause] >= PATIENCE}

    async def _on_bus(self) -> dict[str, Alert]:
        topic = await read_once(self._settings, Alert.topic)
        mine = alert_key(self._by.worker, "").encode()
        values = [value for key, value in topic.items.items() if key.startswith(mine)]
        alerts = read_items(Alert, values)
        return {alert.alert_key: alert for alert in alerts if alert.status != "resolved"}

    async def _publish(self, alerts: list[Alert]) -> None:
        if not alerts:
            return
        await publish_once(self._settings, [outgoing(alert) for alert in alerts])
        for alert in alerts:
            log.warning("pause.said", alert=alert.alert_key, status=alert.status, summary=alert.summary)
