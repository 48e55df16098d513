"""Whether a difference is one: the paired bootstrap."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
SEED = 1


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How a candidate's mean differs from the live model's, on the queries that both were asked.

    `low` and `high` bound the difference at 95 %.
    """

    live: float
    candidate: float
    low: float
    high: float
    count: int

    @property
    def mean(self) -> float:
        """Candidate minus live."""
        return self.candidate - self.live


def paired(
    live: Mapping[str, float], candidate: Mapping[str, float], *, seed: int = SEED
) -> PairedDifference:
    """Return the difference with its interval, by resampling queries (Efron and Tibshirani 1993, ch. 13).

    Queries, not (query, product) pairs, are what the next week brings anew; so they are resampled, and both
    models see the same ones (Smucker, Allan, Carterette, CIKM 2007). Each query counts once: counted as
    often as it is asked, a hundred queries of a shop say no more than its busiest sixteen.
    """
    names = sorted(live.keys() & candidate.keys())
    if not names:
        return PairedDifference(0.0, 0.0, 0.0, 0.0, 0)
    one, other = (np.array([values[name] for name in names]) for values in (live, candidate))
    drawn = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    low, high = np.quantile((other - one)[drawn].mean(1), (0.025, 0.975))
    return PairedDifference(float(one.mean()), float(other.mean()), float(low), float(high), len(names))
