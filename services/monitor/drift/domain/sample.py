"""One window of one signal as a mean with its sampling variance."""

from dataclasses import dataclass
from math import asin, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from services.monitor.drift.domain.sketches import opened

Vector = NDArray[np.float32]
SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class SignalSample:
    """`mean` has one entry, or one a feature; `variance` is that of the mean, summed over the entries.

    `shown` is the mean as people read it: a rate, a quantile; for features, how much they scatter.
    """

    mean: Vector
    variance: float
    count: int
    shown: float
    rate: bool = False
    values: bytes = b""
    """All of the window's values as a sketch, of a quantile."""

    def expected_hits(self, usual: float) -> float:
        """Return how many hits (or misses, when they are fewer) a rate gives when it is as usual."""
        share = sin(min(max(usual, 0.0), pi) / 2) ** 2
        return self.count * min(share, 1 - share)


def rate(hits: int, trials: int) -> SignalSample:
    """Return a share on the scale where its variance does not depend on it (Bartlett 1947).

    Without Anscombe's corrections for small counts: nothing in few must be the same as nothing in many.
    """
    share = min(hits, trials) / trials
    return SignalSample(_one(2 * asin(sqrt(share))), 1 / trials, trials, share, rate=True)


def quantile(values: bytes, rank: float) -> SignalSample:
    """Return a quantile of a sketch; its variance by Woodruff's interval (1952), from the sketch itself."""
    sketch = opened(values)
    width = sqrt(rank * (1 - rank) / sketch.n)
    ranks = [max(rank - width, 0.0), rank, min(rank + width, 1.0)]
    low, value, high = (float(quantile) for quantile in sketch.get_quantiles(ranks))
    variance = max(((high - low) / 2) ** 2, SMALLEST)
    return SignalSample(_one(value), variance, int(sketch.n), value, values=values)


def features(total: NDArray[np.float64], count: int) -> SignalSample:
    """Return the mean of `count` feature vectors of unit length that sum to `total`."""
    mean = (total / count).astype(np.float32)
    scatter = max(1 - float(mean @ mean), SMALLEST)
    return SignalSample(mean, scatter / count, count, scatter)


def _one(value: float) -> Vector:
    return np.array([value], dtype=np.float32)
