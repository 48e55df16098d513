"""From a surprise of unknown distribution to a standard normal one: its rank among those before it.

If surprises are exchangeable, the rank of the newest among all, ties broken at random, is uniform, and the
ranks of successive ones are independent: online conformal p-values (Vovk, Gammerman and Shafer 2005,
Algorithmic Learning in a Random World, theorem 8.2). No distribution is assumed, small counts and constant
signals included, and the error of an estimated reference is part of it.
"""

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable
from math import exp
from statistics import NormalDist, fmean

CAP = 4.5
"""One window counts for no more than this, so that no single odd one is an alarm."""
TAIL_SHARE = 0.05
GAUSSIAN_EXCESS = 0.42
"""Mean excess of a standard normal over its 95th percentile: the least that is taken for the tail's scale."""
_NORMAL = NormalDist()


class Ranks:
    """The last `capacity` surprises, in order of arrival and in order of size."""

    def __init__(self, capacity: int, past: Iterable[float] = ()) -> None:
        self.past = deque(past, maxlen=capacity)
        """In order of arrival."""
        self._sorted = sorted(self.past)

    def __len__(self) -> int:
        return len(self.past)

    def normal_score(self, value: float, *, tie_break: float) -> float:
        """Return how far up `value` is, in standard normal units; `tie_break` in (0, 1) breaks ties.

        Beyond the largest (smallest) value seen, the tail goes on as an exponential, no lighter than what
        it was measured on; and it is capped.
        """
        past, size = self._sorted, len(self._sorted)
        below, upto = bisect_left(past, value), bisect_right(past, value)
        if size and below == size:
            score = -_quantile(exp(-self._excess(value)) / (size + 1))
        elif size and upto == 0:
            score = _quantile(exp(-self._excess(value)) / (size + 1))
        else:
            score = _quantile((below + tie_break * (1 + upto - below)) / (size + 1))
        return max(-CAP, min(CAP, score))

    def add(self, value: float) -> None:
        """Remember one; the oldest leaves when there are too many."""
        if len(self.past) == self.past.maxlen:
            del self._sorted[bisect_left(self._sorted, self.past[0])]
        self.past.append(value)
        insort(self._sorted, value)

    def _excess(self, value: float) -> float:
        """Return how far a value is outside of all others, in mean excesses of the tail on its side."""
        size = max(2, int(TAIL_SHARE * len(self._sorted)))
        above = value > self._sorted[-1]
        tail = self._sorted[-size:] if above else self._sorted[:size]
        edge, begin = (tail[-1], tail[0]) if above else (tail[0], tail[-1])
        return abs(value - edge) / max(abs(fmean(tail) - begin), GAUSSIAN_EXCESS)


def tie_break(*parts: str | int) -> float:
    """Return a number in (0, 1) that depends on nothing but `parts`: a replay breaks ties the same way."""
    text = "\x1f".join(map(str, parts)).encode()
    return (int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) + 0.5) / 2**56


def _quantile(probability: float) -> float:
    return _NORMAL.inv_cdf(min(max(probability, 1e-12), 1 - 1e-12))
