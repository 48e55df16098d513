"""The seasonal baseline: one running mean an hour of the week, and how far windows are from it by chance."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from services.monitor.drift.domain.rules import Season
from services.monitor.drift.domain.sample import SMALLEST, SignalSample

HOURS: dict[Season, int] = {"week": 168, "day": 24, "none": 1}
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
SETTLE = 24
"""Differences before the variance model is fitted; until then sampling alone is assumed."""
FORGET = 0.999
"""Of the variance model's sums, a window: a mean of the last thousand."""
EVEN = 0.01
"""Squared variation of the sampling variance below which windows count as of one size."""

Floats = NDArray[np.float64]


def slot_of(start: datetime, season: Season) -> int:
    """Return the slot of a window: its hour of the week, its hour of the day, or 0."""
    return int((start - MONDAY) / timedelta(hours=1)) % HOURS[season]


class SeasonalBaseline:
    """A running mean for each slot, over about `memory` visits, each with what it is uncertain by."""

    def __init__(self, slots: int, dimensions: int, memory: int) -> None:
        self.memory = memory
        self.mean: NDArray[np.float32] = np.zeros((slots, dimensions), dtype=np.float32)
        self.visits: Floats = np.zeros(slots)
        self.variance: Floats = np.zeros(slots)
        """Of the mean, by sampling."""
        self.spread: Floats = np.zeros(slots)
        """Sum of the squared weights in the mean."""

    @property
    def share(self) -> float:
        """The share of slots that have been visited: of all windows, so many can be judged."""
        return float(np.mean(self.visits > 0))

    @property
    def level(self) -> float:
        """The first entry's mean over the slots that have been visited."""
        return float(np.mean(self.mean[self.visits > 0, 0]))

    def learn(self, slot: int, sample: SignalSample, *, clip: float = inf) -> None:
        """Move the slot's mean toward the sample, as if that were at most `clip` away."""
        # The plain mean of the first `memory` visits, an exponential one of about as many from then on.
        weight = max(1 / (self.visits[slot] + 1), 1 / self.memory)
        keep = 1 - weight
        difference = sample.mean - self.mean[slot]
        length = sqrt(float(difference @ difference))
        self.mean[slot] += difference * (weight * min(1.0, clip / length) if length else 0.0)
        self.variance[slot] = keep**2 * self.variance[slot] + weight**2 * sample.variance
        self.spread[slot] = keep**2 * self.spread[slot] + weight**2
        self.visits[slot] += 1


class VarianceModel:
    """How the squared difference of two windows grows with their sampling variance.

    `E d^2 = factor * sampling + between`: the factor covers answers that are not independent, `between`
    what differs from week to week. Weighted least squares, since `var d^2` grows with `sampling^2`.
    """

    def __init__(self, sums: Sequence[float] = (0.0,) * 6) -> None:
        self.sums = tuple(float(number) for number in sums)

    def add(self, square: float, sampling: float, spread: float) -> None:
        """Take one squared difference in; `spread` is 1 + the reference's squared weights."""
        # One point (x, y) of a line through points, its sums kept instead of the points.
        x, y = sampling / spread, square / spread
        weight = 1 / max(x, 1e-12) ** 2
        new = (weight, weight * x, weight * x * x, weight * y, weight * x * y, 1.0)
        self.sums = tuple(FORGET * old + more for old, more in zip(self.sums, new, strict=True))

    def expected(self, sampling: float, spread: float) -> float:
        """Return the expected squared difference."""
        weights, x, xx, y, xy, count = self.sums
        if count < SETTLE:
            return max(sampling, SMALLEST)
        determinant = weights * xx - x * x  # of the normal equations
        if determinant < EVEN * weights * xx:  # windows of one size: there is no slope to be seen
            return max(xy / xx * sampling, SMALLEST)
        factor = (weights * xy - x * y) / determinant
        between = (y - factor * x) / weights
        # Variances are not negative: the better of the two fits at the edge of what is possible.
        if factor < 0:
            factor, between = 0.0, y / weights
        elif between < 0:
            factor, between = xy / xx, 0.0
        return max(factor * sampling + between * spread, SMALLEST)
