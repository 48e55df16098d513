"""What has not been well yet is starting: for a while, that is no news."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from services.monitor.alerts.domain.observation import Observation


class Grace(BaseModel):
    """Until when the breaches of what was never seen well are held back, each from its first look.

    Held back, not called healthy: an alert that fired before this monitor started goes on.
    """

    model_config = ConfigDict(frozen=True)

    span: timedelta
    over: Mapping[str, datetime] = {}
    """When the grace of each key ends; well once, it ends at once."""

    def admit(self, observations: Sequence[Observation], now: datetime) -> tuple["Grace", list[Observation]]:
        """Return the grace after this look, and the observations that count."""
        over = dict(self.over)
        for observation in observations:
            until = over.setdefault(observation.key, now + self.span)
            over[observation.key] = until if observation.breached else min(until, now)
        counted = [observation for observation in observations if now >= over[observation.key]]
        return Grace(span=self.span, over=over), counted
