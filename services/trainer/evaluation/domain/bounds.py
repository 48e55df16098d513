"""What two first pages may turn out to be worth, whatever the grades are that nobody knows.

Grades exist for what was shown. Suppose somebody graded the rest of both first pages (as TREC pools the best
of every system): each such *completion* makes nDCG@10 of both pages known. The bounds are the completion that
is worst for the candidate and the one that is best. They are exact. A product on both pages has one grade.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from shared.retrieval.quality import DISCOUNTS, FIRST_PAGE, GAINS

LEVELS = (0, *GAINS.values())
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Completion:
    """nDCG@10 of both pages once everything on them is graded in some way."""

    live: float
    candidate: float

    @property
    def difference(self) -> float:
        """Candidate minus live."""
        return self.candidate - self.live


def completions(
    live: Sequence[str], candidate: Sequence[str], grades: Mapping[str, int]
) -> tuple[Completion, Completion]:
    """Return the worst and the best completion for the candidate; `grades` are those that are known.

    Of a given number of each grade, the worst way to hand them out gives the highest where the live model's
    page gains most by it (the rearrangement inequality), and the ideal page depends on the numbers alone. So
    the numbers are tried, all of them: C(m + 3, 3) for m products without a grade, 1,771 for the most there
    can be.
    """
    pages = live[:FIRST_PAGE], candidate[:FIRST_PAGE]
    unknown = sorted({*pages[0], *pages[1]} - grades.keys())
    handed_out = _combinations(len(unknown))
    known_values = [sum(_gain(grades, item) * place for item, place in _placed(page)) for page in pages]
    places = [dict(_placed(page)) for page in pages]
    discounts = np.array([[of_page.get(item, 0.0) for item in unknown] for of_page in places])
    advantage = discounts[1] - discounts[0]
    ideal = _ideal(grades, handed_out)
    best, worst = (discounts[:, np.argsort(sign * advantage, kind="stable")] for sign in (-1, 1))
    return (
        _extreme(known_values, worst, handed_out, ideal=ideal, sign=-1),
        _extreme(known_values, best, handed_out, ideal=ideal, sign=1),
    )


def _extreme(
    known_values: Sequence[float], discounts: Floats, handed_out: Floats, *, ideal: Floats, sign: int
) -> Completion:
    """Return the completion whose difference is the greatest, times `sign`."""
    gained = np.asarray(known_values)[:, None] + discounts @ handed_out.T
    values = np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0)
    chosen = int(np.argmax(sign * (values[1] - values[0])))
    return Completion(float(values[0, chosen]), float(values[1, chosen]))


def _ideal(grades: Mapping[str, int], handed_out: Floats) -> Floats:
    """Return the value of the best page that could be made of everything graded, one a combination."""
    known = sorted((_gain(grades, item) for item in grades), reverse=True)[:FIRST_PAGE]
    gains = np.hstack([np.tile(np.array(known, float), (len(handed_out), 1)), handed_out])
    ordered = -np.sort(-gains, axis=1)[:, :FIRST_PAGE]
    ideal: Floats = ordered @ np.array(DISCOUNTS[: ordered.shape[1]])
    return ideal


@cache
def _combinations(count: int) -> Floats:
    """Return, a row each, how gains may be spread over so many products, the highest first."""
    rows = list(combinations_with_replacement(sorted(LEVELS, reverse=True), count))
    return np.array(rows, float).reshape(len(rows), count)


def _placed(page: Sequence[str]) -> list[tuple[str, float]]:
    return list(zip(page, DISCOUNTS, strict=False))


def _gain(grades: Mapping[str, int], item: str) -> int:
    return GAINS.get(grades.get(item, 0), 0)
