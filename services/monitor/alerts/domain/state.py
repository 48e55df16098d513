"""The state of an alert: firing, updated, resolved; one pure step an observation.

An alert fires when `fire_after` observations in a row are breached and resolves when `resolve_after` in a
row are not, over at least the time `lasting`; one odd observation changes nothing. While it is open it is
updated when what is seen has changed (another signature), at most once in `update_every`, but at once when
it gets more severe. After it was resolved it may fire again, with a new start and the same key.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import SEVERITIES, Observation
from shared.section import Duration


class AlertPolicy(BaseModel):
    """How many observations in a row it takes, over which time, and how often an update may come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fire_after: int = 2
    resolve_after: int = 2
    lasting: Duration = timedelta(0)
    update_every: Duration = timedelta(minutes=5)


class AlertState(BaseModel):
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


def step(
    state: AlertState, observation: Observation, *, now: datetime, policy: AlertPolicy
) -> tuple[AlertState, Alert | None]:
    """Return the state after one observation, and the alert to publish, if any."""
    if observation.breached == state.firing:
        calm = state.model_copy(update={"streak": 0, "since": None})
        return _update(calm, observation, now=now, policy=policy) if state.firing else (calm, None)
    streak, since = state.streak + 1, state.since or now
    needed = policy.resolve_after if state.firing else policy.fire_after
    if (streak < needed or now - since < policy.lasting) and not observation.final:
        return state.model_copy(update={"streak": streak, "since": since}), None
    return _transition(state, observation, now)


def _transition(state: AlertState, observation: Observation, now: datetime) -> tuple[AlertState, Alert]:
    """Open or close."""
    moment = _not_before(state, now)
    if state.alert is not None and state.firing:
        alert = state.alert.model_copy(
            update={
                "status": "resolved",
                "summary": observation.summary,
                "action": observation.action,
                "evidence": observation.evidence,
                "updated_at": moment,
            }
        )
    else:
        alert = _alert(observation, "firing", started_at=moment, now=moment)
    return AlertState(alert=alert, signature=observation.signature), alert


def _update(
    state: AlertState, observation: Observation, *, now: datetime, policy: AlertPolicy
) -> tuple[AlertState, Alert | None]:
    """Publish what has changed, unless something was published a moment ago."""
    before = state.alert
    if before is None or (
        observation.signature == state.signature and observation.severity == before.severity
    ):
        return state, None
    worse = SEVERITIES.index(observation.severity) > SEVERITIES.index(before.severity)
    if not worse and now - before.updated_at < policy.update_every:
        return state, None
    moment = _not_before(state, now)
    alert = _alert(observation, "updated", started_at=before.started_at, now=moment)
    if observation.cause == "unknown":
        alert = alert.model_copy(update={"cause": before.cause})
    return AlertState(alert=alert, signature=observation.signature), alert


def _alert(observation: Observation, status: str, *, started_at: datetime, now: datetime) -> Alert:
    return Alert.model_validate(
        {
            "alert_key": observation.key,
            "status": status,
            "severity": observation.severity,
            "summary": observation.summary,
            "cause": observation.cause,
            "action": observation.action,
            "evidence": observation.evidence,
            "generation": observation.generation,
            "started_at": started_at,
            "updated_at": now,
        }
    )


def _not_before(state: AlertState, now: datetime) -> datetime:
    """Keep an alert's times in order though the clock was set back."""
    return now if state.alert is None else max(now, state.alert.updated_at)
