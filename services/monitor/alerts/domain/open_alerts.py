"""The alerts that are not resolved, in the order in which people should read them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from schemas.alerts import PAUSED, TRIAL, Alert
from services.monitor.alerts.domain.observation import SEVERITIES
from services.monitor.alerts.domain.state import AlertState

MOST_SEVERE_FIRST = tuple(reversed(SEVERITIES))
ENDED_ELSEWHERE = (f"{PAUSED}:", f"{TRIAL}:")
"""Whoever raised these ends them: a monitor that took them for its own would say again what is over."""


def unresolved(alerts: Iterable[Alert]) -> list[Alert]:
    """Return those that are not resolved, most severe and oldest first."""
    return sorted((alert for alert in alerts if alert.status != "resolved"), key=_place)


def orphans(alerts: Iterable[Alert], states: Mapping[str, AlertState]) -> list[Alert]:
    """Return those that a monitor raised, that are open, and that are not remembered in these states."""
    return [
        alert
        for alert in unresolved(alerts)
        if alert.resolution == "automatic"
        and not alert.alert_key.startswith(ENDED_ELSEWHERE)
        and states.get(alert.alert_key, AlertState()).alert is None
    ]


def _place(alert: Alert) -> tuple[int, datetime, str]:
    return MOST_SEVERE_FIRST.index(alert.severity), alert.started_at, alert.alert_key
