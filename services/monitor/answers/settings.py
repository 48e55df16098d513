"""The answers' section: `[monitor.answers]`."""

from datetime import timedelta

from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.answers.domain.answers import WindowRule
from shared.section import Duration, Section


class AnswerSettings(Section):
    """How answers are counted and compared, how often, and when that is an alert."""

    every: Duration = timedelta(seconds=30)
    rule: WindowRule = WindowRule()
    alerts: AlertPolicy = AlertPolicy()
