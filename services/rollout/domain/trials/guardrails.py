"""What must not happen while a trial runs: checks that may be looked at all the time."""

import math
from dataclasses import dataclass

from shared.statistics.mixture import ratio_evidence, standard_errors

ERROR = 0.001
"""The probability of a false alarm of each guardrail, in a whole trial."""
ENOUGH = 100
"""Values below which a variance says nothing."""
SLOWER = 2.0
"""A candidate may take so many times as long as the live one, on average."""
LEAST_DRAFTED = 0.8
"""Of the answers that it was asked for, the share that a candidate must give in time and whole: without the
others, what is left no longer stands for what shoppers ask, and as the live one it would give these, too."""


@dataclass
class Moments:
    """Count, sum and sum of squares of what was measured: a time, or whether something happened."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Take one value in."""
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        """Return the mean; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Return the variance of one value."""
        return max(self.squares / self.count - self.mean**2, 0.0) if self.count else 0.0


def above(tried: Moments, usual: Moments, *, error: float = ERROR) -> bool:
    """Whether the one's mean is higher than the other's beyond doubt; may be asked after every value."""
    if min(tried.count, usual.count) < ENOUGH:
        return False
    terms = 1 / (1 / tried.count + 1 / usual.count)
    spread = tried.variance / tried.count + usual.variance / usual.count
    return tried.mean - usual.mean > _bound(spread * terms, terms, 2 * error)


def positive(differences: Moments, *, error: float = ERROR) -> bool:
    """Whether differences are above zero on average beyond doubt; may be asked after every one."""
    if differences.count < ENOUGH:
        return False
    return differences.mean > _bound(differences.variance, differences.count, 2 * error)


def unequal(differences: Moments, *, error: float = ERROR) -> bool:
    """Whether differences that should be zero on average are not, either way, beyond doubt."""
    if differences.count < ENOUGH:
        return False
    return abs(differences.mean) > _bound(differences.variance, differences.count, error)


def out_of_ratio(interleaved: int, rest: int, share: float, *, error: float = ERROR) -> bool:
    """Whether sessions did not come in the ratio that was asked for, beyond doubt."""
    return ratio_evidence(interleaved, rest, share) >= 1 / error


def _bound(variance: float, terms: float, error: float) -> float:
    """Return what a mean exceeds in `error` of all cases at most. One more value, of 1, is thought of."""
    return standard_errors(terms, error) * math.sqrt((variance + 1 / terms) / terms)
