"""The life of an alert: firing, updated, resolved; one pure step an observation.

An alert fires when `fire_after` observations in a row are breached and resolves when `resolve_after` in a
row are not, over at least the time `lasting`; one odd observation changes nothing. While it is open it is
updated when what is seen has changed (another signature), at most once in `update_every`, but at once when
it gets more severe. After it was resolved it may fire again, with a new start and the same key.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from schemas.alerts import Alert
from services.monitor.domain.observation import SEVERITIES, Observation


class Policy(BaseModel):
    """How many observations in a row it takes, over which time, and how often an open alert may speak."""

    model_config = ConfigDict(frozen=True)

    fire_after: int = 2
    resolve_after: int = 2
    lasting: timedelta = timedelta(0)
    update_every: timedelta = timedelta(minutes=5)


class Life(BaseModel):
    """What is remembered of one alert between observations; `alert` is the last one published."""

    model_config = ConfigDict(frozen=True)

    alert: Alert | None = None
    signature: str = ""
    streak: int = 0
    """Observations in a row that contradict the status."""
    since: datetime | None = None
    """When the first of them was made."""

    @property
    def firing(self) -> bool:
        """Whether the alert is open."""
        return self.alert is not None and self.alert.status != "resolved"

    @property
    def settled(self) -> bool:
        """Whether the last observation agreed with the status; if not, look again soon."""
        return self.streak == 0


def step(life: Life, seen: Observation, *, now: datetime, policy: Policy) -> tuple[Life, Alert | None]:
    """Return the life after one observation, and the alert to publish, if any."""
    if seen.breached == life.firing:
        calm = life.model_copy(update={"streak": 0, "since": None})
        return _update(calm, seen, now=now, policy=policy) if life.firing else (calm, None)
    streak, since = life.streak + 1, life.since or now
    needed = policy.resolve_after if life.firing else policy.fire_after
    if (streak < needed or now - since < policy.lasting) and not seen.final:
        return life.model_copy(update={"streak": streak, "since": since}), None
    return _turn(life, seen, now)


def _turn(life: Life, seen: Observation, now: datetime) -> tuple[Life, Alert]:
    """Open or close."""
    moment = _not_before(life, now)
    if life.alert is not None and life.firing:
        alert = life.alert.model_copy(
            update={
                "status": "resolved",
                "summary": seen.summary,
                "action": seen.action,
                "evidence": seen.evidence,
                "updated_at": moment,
            }
        )
    else:
        alert = _speak(seen, "firing", started_at=moment, now=moment)
    return Life(alert=alert, signature=seen.signature), alert


def _update(life: Life, seen: Observation, *, now: datetime, policy: Policy) -> tuple[Life, Alert | None]:
    """Say what has changed, unless it was said a moment ago."""
    before = life.alert
    if before is None or (seen.signature == life.signature and seen.severity == before.severity):
        return life, None
    worse = SEVERITIES.index(seen.severity) > SEVERITIES.index(before.severity)
    if not worse and now - before.updated_at < policy.update_every:
        return life, None
    moment = _not_before(life, now)
    alert = _speak(seen, "updated", started_at=before.started_at, now=moment)
    if seen.cause == "unknown":
        alert = alert.model_copy(update={"cause": before.cause})
    return Life(alert=alert, signature=seen.signature), alert


def _speak(seen: Observation, status: str, *, started_at: datetime, now: datetime) -> Alert:
    return Alert.model_validate(
        {
            "alert_key": seen.key,
            "status": status,
            "severity": seen.severity,
            "summary": seen.summary,
            "cause": seen.cause,
            "action": seen.action,
            "evidence": seen.evidence,
            "generation": seen.generation,
            "started_at": started_at,
            "updated_at": now,
        }
    )


def _not_before(life: Life, now: datetime) -> datetime:
    """Keep an alert's times in order though the clock was set back."""
    return now if life.alert is None else max(now, life.alert.updated_at)
