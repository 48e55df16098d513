"""The negatives' section: `[monitor.negatives]`."""

from datetime import timedelta

from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.negatives.domain.precision import PrecisionRule
from shared.section import Duration, Section


class NegativePrecisionSettings(Section):
    """When the precision of negatives is too low, how often that is looked at, and when it is an alert."""

    every: Duration = timedelta(minutes=1)
    rule: PrecisionRule = PrecisionRule()
    alerts: AlertPolicy = AlertPolicy(lasting=timedelta(hours=1))
