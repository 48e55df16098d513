"""What must not happen while a trial runs: checks that may be looked at all the time."""

import math
from dataclasses import dataclass

from shared.statistics.mixture import ratio_evidence, standard_errors

ERROR = 0.001
"""The probability of a false alarm of each guardrail, in a whole trial."""


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


def above(tried: Moments, usual: Moments, *, margin: float = 0.0, error: float = ERROR) -> bool:
    """Whether the one's mean is higher than the other's by more than `margin` beyond doubt.

    Both may be looked at after every value: the error holds for all looks together.
    """
    if min(tried.count, usual.count) < 100:
        return False
    spread = tried.variance / tried.count + usual.variance / usual.count
    terms = 1 / (1 / tried.count + 1 / usual.count)
    apart = tried.mean - usual.mean - margin
    return apart > standard_errors(terms, 2 * error) * math.sqrt(max(spread, 1 / terms**2))


def unequal(differences: Moments, *, error: float = ERROR) -> bool:
    """Whether differences that should be zero on average are not, either way, beyond doubt."""
    if differences.count < 100:
        return False
    spread = math.sqrt(max(differences.variance, 1 / differences.count) / differences.count)
    return abs(differences.mean) > standard_errors(differences.count, error) * spread


def out_of_ratio(interleaved: int, rest: int, share: float, *, error: float = ERROR) -> bool:
    """Whether sessions did not come in the ratio that was asked for, beyond doubt."""
    return ratio_evidence(interleaved, rest, share) >= 1 / error
