"""Whether a difference is one: the paired bootstrap."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
SEED = 1


@dataclass(frozen=True, slots=True)
class Difference:
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
    live: Mapping[str, float],
    candidate: Mapping[str, float],
    weights: Mapping[str, float] | None = None,
    *,
    seed: int = SEED,
) -> Difference:
    """Return the difference with its interval, by resampling queries (Efron and Tibshirani 1993, ch. 13).

    Queries, not (query, product) pairs, are what the next week brings anew; so they are resampled, and both
    models see the same ones (Smucker, Allan, Carterette, CIKM 2007). `weights` count a query as often as it
    is asked; absent: each once.
    """
    names = sorted(live.keys() & candidate.keys())
    if not names:
        return Difference(0.0, 0.0, 0.0, 0.0, 0)
    one, other = (np.array([values[name] for name in names]) for values in (live, candidate))
    counted = np.array([1.0 if weights is None else weights.get(name, 0.0) for name in names])
    if not counted.sum():
        counted = np.ones(len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    mass = counted[drawn]
    means = ((other - one)[drawn] * mass).sum(1) / np.maximum(mass.sum(1), 1e-12)
    low, high = np.quantile(means, (0.025, 0.975))
    mean, its = (float(np.average(values, weights=counted)) for values in (one, other))
    return Difference(mean, its, float(low), float(high), len(names))
