"""When to run the canaries: on a timer, after a catalogue batch, on command, and to confirm what was seen.

A batch triggers a run once the catalogue has been quiet for `quiet`, or `longest_wait` after its first
change under constant traffic. However it is triggered, the monitor rests between runs for at least `rest`
and `rest_factor` times the length of the last run, so canaries can never become the load.
"""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.section import Duration

Reason = Literal["command", "confirm", "batch", "timer"]


class Pace(BaseModel):
    """The limits above."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval: Duration = timedelta(seconds=60)
    quiet: Duration = timedelta(seconds=1)
    longest_wait: Duration = timedelta(seconds=15)
    confirm: Duration = timedelta(seconds=2)
    rest: Duration = timedelta(seconds=2)
    rest_factor: float = 4.0


class Timing(BaseModel):
    """What has happened since the last run."""

    model_config = ConfigDict(frozen=True)

    started: datetime | None = None
    finished: datetime | None = None
    first_change: datetime | None = None
    last_change: datetime | None = None
    commanded: datetime | None = None
    unsettled: bool = False
    """Some alert saw the contrary of its status and waits for a second look."""

    def changed(self, now: datetime) -> "Timing":
        """Note that the catalogue moved."""
        return self.model_copy(update={"first_change": self.first_change or now, "last_change": now})

    def ordered(self, now: datetime) -> "Timing":
        """Note a command."""
        return self.model_copy(update={"commanded": now})

    def ran(self, started: datetime, finished: datetime, *, unsettled: bool) -> "Timing":
        """Note a run; a change or a command that came while it ran still waits for the next."""
        later = self.last_change is not None and self.last_change > started
        waiting = self.commanded is not None and self.commanded > started
        return Timing(
            started=started,
            finished=finished,
            first_change=self.last_change if later else None,
            last_change=self.last_change if later else None,
            commanded=self.commanded if waiting else None,
            unsettled=unsettled,
        )


def due(timing: Timing, now: datetime, pace: Pace) -> Reason | None:
    """Return why to run now, or None."""
    if timing.started is None or timing.finished is None:
        return "timer"
    idle = now - timing.finished
    if idle < _rest(timing.started, timing.finished, pace):
        return None
    if timing.commanded is not None:
        return "command"
    if timing.unsettled and idle >= pace.confirm:
        return "confirm"
    if _batch_over(timing, now, pace):
        return "batch"
    return "timer" if idle >= pace.interval else None


def _rest(started: datetime, finished: datetime, pace: Pace) -> timedelta:
    return max(pace.rest, pace.rest_factor * (finished - started))


def _batch_over(timing: Timing, now: datetime, pace: Pace) -> bool:
    if timing.first_change is None or timing.last_change is None:
        return False
    return now - timing.last_change >= pace.quiet or now - timing.first_change >= pace.longest_wait
