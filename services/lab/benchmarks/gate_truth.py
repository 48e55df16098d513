"""What candidates are really worth: by what people said of the products, query by query."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from services.trainer.evaluation.domain.statistics import RESAMPLES, SEED

Worth = Literal["better", "equal", "worse"]
MATERIAL = 0.02
"""Of the live model's nDCG@10: from here on a gain is one that nobody wants to miss."""


class TrueDifference(NamedTuple):
    """How a candidate's mean differs from the live model's; `low` and `high` bound it at 95 %."""

    live: float
    mean: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """The difference as a share of the live model's mean."""
        return self.mean / self.live if self.live else 0.0

    @property
    def worth(self) -> Worth:
        """Better: by 2 % at least, and the interval above zero; worse: the interval below zero."""
        if self.high < 0:
            return "worse"
        return "better" if self.relative >= MATERIAL and self.low > 0 else "equal"


def difference(
    live: Mapping[str, float],
    candidate: Mapping[str, float],
    weights: Mapping[str, float] | None = None,
    *,
    seed: int = SEED,
) -> TrueDifference:
    """Return the weighted mean difference of the queries of both, with a paired bootstrap over queries.

    `weights` say how often a query is asked (absent: all alike); a query that has none counts nothing.
    """
    names = sorted(name for name in live if weights is None or weights.get(name, 0) > 0)
    if not names:
        return TrueDifference(0.0, 0.0, 0.0, 0.0)
    before = np.array([live[name] for name in names])
    gained = np.array([candidate[name] for name in names]) - before
    weight = np.array([1.0 if weights is None else weights[name] for name in names])
    drawn = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    means = (gained * weight)[drawn].sum(1) / weight[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return TrueDifference(
        float(np.average(before, weights=weight)),
        float(np.average(gained, weights=weight)),
        float(low),
        float(high),
    )
