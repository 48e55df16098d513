"""What drift is watched by, as settings have it; light to import."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from schemas.base import EPOCH

Season = Literal["week", "day", "none"]


@dataclass(frozen=True, kw_only=True)
class DetectorRule:
    """What every detector of a monitor has in common."""

    season: Season = "week"
    memory: int = 8
    """Visits of a slot that its baseline is the mean of."""
    learn: int = 336
    """Surprises before a detector may alarm."""
    remember: int = 2016
    """Surprises that a new one is ranked among."""
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """One span of event time, by its number since 1970."""

    number: int
    start: datetime
    span: timedelta

    @property
    def day(self) -> int:
        """Return the number of its day."""
        return self.start.toordinal()


@dataclass(frozen=True, kw_only=True)
class DriftRule:
    """How drift is watched, and how often a false alarm is acceptable."""

    false_alarm_every: timedelta = timedelta(days=30)
    """The mean time between two false alarms of all signals together."""
    window: timedelta = timedelta(hours=1)
    adopt_after: timedelta = timedelta(days=14)
    """An alarm that lasts so long is the new normal."""
    learn_words: timedelta = timedelta(days=14)
    """So long all words are only learned: at first every one is new, which is no rate to compare with."""
    forget_words_after: timedelta = timedelta(days=56)

    @property
    def windows(self) -> float:
        """Return `false_alarm_every` in windows."""
        return self.false_alarm_every / self.window

    def at(self, number: int) -> TimeWindow:
        """Return a window by its number."""
        return TimeWindow(number=number, start=EPOCH + number * self.window, span=self.window)

    def number(self, moment: datetime) -> int:
        """Return the number of the window that a moment lies in."""
        return (moment - EPOCH) // self.window
