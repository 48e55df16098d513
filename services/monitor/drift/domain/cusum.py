"""A CUSUM whose mean time between false alarms is computed, not hoped for.

Page (1954), Continuous inspection schemes. With standard normal steps `z`, the chart
`S = max(0, S + z - slack)` alarms at `S >= threshold`. Its average run length is the absorption time of a
Markov chain on the levels of `S` (Brook and Evans 1972, Biometrika 59:539), solved exactly for a grid.
"""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

SLACK = 0.5
"""Half of the shift that the chart finds fastest, in standard deviations of a window."""
LEVELS = 120
_NORMAL = NormalDist()
_cdf = np.vectorize(_NORMAL.cdf, otypes=[float])


@dataclass(frozen=True, slots=True)
class Cusum:
    """The sum so far, and whether it has alarmed and not yet run empty again."""

    level: float = 0.0
    alarmed: bool = False

    def step(self, z: float, threshold: float) -> "Cusum":
        """Add one step; an alarm ends when the sum is back at 0.

        The sum never exceeds the threshold, so that an alarm is over as soon as its evidence is outweighed.
        """
        level = min(max(0.0, self.level + z - SLACK), threshold)
        return Cusum(level, alarmed=level >= threshold or (self.alarmed and level > 0))


def average_run_length(threshold: float, slack: float = SLACK) -> float:
    """Return the mean number of standard normal steps from 0 to an alarm."""
    width = threshold / LEVELS
    edges = np.arange(LEVELS + 1) * width
    levels = np.concatenate([[0.0], edges[:-1] + width / 2])
    moves = np.empty((LEVELS + 1, LEVELS + 1))
    moves[:, 0] = _cdf(slack - levels)
    moves[:, 1:] = np.diff(_cdf(edges[None, :] + slack - levels[:, None]), axis=1)
    return float(np.linalg.solve(np.eye(LEVELS + 1) - moves, np.ones(LEVELS + 1))[0])


def threshold_for(run_length: float) -> float:
    """Return the threshold whose average run length is `run_length` (at least 2) within 1 %."""
    return _threshold(round(float(np.log(max(run_length, 2.0))), 2))


@lru_cache(maxsize=1024)
def _threshold(log_run_length: float) -> float:
    low, high = 0.01, max(2.0, 2 * log_run_length)
    for _ in range(24):
        middle = (low + high) / 2
        if np.log(average_run_length(middle)) < log_run_length:
            low = middle
        else:
            high = middle
    return (low + high) / 2
