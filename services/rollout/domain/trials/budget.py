"""How much a trial may err, of what all trials of a year may err together."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

YEAR = timedelta(days=365)
BUDGET = 0.10
"""The probability that a year in which no candidate is better sees one promoted."""


class PastTrial(NamedTuple):
    """A trial that was begun."""

    began_at: datetime
    error: float
    promoted: bool


def error_of_next(past: Iterable[PastTrial], now: datetime, *, budget: float = BUDGET) -> float:
    """Return the error that the next trial may have: half of what is in the bucket.

    The bucket holds half of the year's budget, and the other half flows in over the year: so the trials of
    any 365 days err together by the budget at most, be they many or few. Who seldom tries has more for each.
    A promotion fills the bucket, as in alpha-investing (Foster and Stine, JRSS B 2008): where no candidate is
    better, the probability that a year promotes one is at most the budget; and in every year the expected
    false promotions are at most that share of one more than the expected promotions.
    """
    full = budget / 2
    level, moment = full, datetime.min.replace(tzinfo=UTC)
    for trial in sorted(past):
        level = min(full, level + full * ((trial.began_at - moment) / YEAR))
        level, moment = full if trial.promoted else max(level - trial.error, 0.0), trial.began_at
    return min(full, level + full * ((now - moment) / YEAR)) / 2
