"""The alerts that are not resolved, in the order in which people should read them."""

from collections.abc import Iterable
from datetime import datetime

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import SEVERITIES

MOST_SEVERE_FIRST = tuple(reversed(SEVERITIES))


def unresolved(alerts: Iterable[Alert]) -> list[Alert]:
    """Return those that are not resolved, most severe and oldest first."""
    return sorted((alert for alert in alerts if alert.status != "resolved"), key=_place)


def _place(alert: Alert) -> tuple[int, datetime, str]:
    return MOST_SEVERE_FIRST.index(alert.severity), alert.started_at, alert.alert_key
