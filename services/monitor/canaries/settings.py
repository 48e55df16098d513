"""The canaries' section: `[monitor.canaries]`."""

from datetime import timedelta

from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.canaries.domain.schedule import Pace
from services.monitor.canaries.domain.verdict import CanaryRule
from shared.section import Section


class CanarySettings(Section):
    """When canaries run, how far their results may fall, and when that is an alert."""

    pace: Pace = Pace()
    rule: CanaryRule = CanaryRule()
    alerts: AlertPolicy = AlertPolicy()
    reach_alerts: AlertPolicy = AlertPolicy(fire_after=3, lasting=timedelta(seconds=10))
    """Whether search can be reached: a search that is started again is no news."""
