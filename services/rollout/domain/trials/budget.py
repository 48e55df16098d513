"""How much a trial may err, of what all trials of a year may err together."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

YEAR = timedelta(days=365)
BUDGET = 0.10
"""Expected false promotions a year, where no candidate is better; otherwise of each promotion, on average."""
PART = 4
"""A trial gets one part in so many of what is left."""


class PastTrial(NamedTuple):
    """A trial that was begun."""

    began_at: datetime
    error: float
    promoted: bool


def error_of_next(past: Iterable[PastTrial], now: datetime, *, budget: float = BUDGET) -> float:
    """Return the error that the next trial may have: a quarter of what the last 365 days have left.

    Each promotion adds the budget once more, as in LORD (Javanmard and Montanari 2018; Ramdas et al. 2017):
    where no candidate is better, the probability that a year sees a false promotion is at most the budget;
    and the expected false promotions are at most that share of the promotions (of one when there are fewer).
    """
    year = [trial for trial in past if now - YEAR < trial.began_at <= now]
    promotions = sum(trial.promoted for trial in year)
    left = budget * max(promotions, 1) - sum(trial.error for trial in year)
    return max(left, 0.0) / PART
