"""How scores of different kinds become comparable."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

Scale = Callable[[Sequence[float | None]], list[float]]
RRF_K = 60
"""Cormack, Clarke, Buettcher: Reciprocal Rank Fusion, SIGIR 2009."""


def unit_range(scores: Sequence[float | None]) -> list[float]:
    """Scale so that the least becomes 0 and the greatest 1; equal scores become 1, absent ones 0.

    Where only some candidates have a score, the least possible is that of having none.
    """
    present = [score for score in scores if score is not None]
    if not present:
        return [0.0] * len(scores)
    low, high = min(present), max(present)
    if len(present) < len(scores):
        low = min(low, 0.0)
    if high <= low:
        return [0.0 if score is None else 1.0 for score in scores]
    return [0.0 if score is None else (score - low) / (high - low) for score in scores]


def reciprocal_ranks(scores: Sequence[float | None]) -> list[float]:
    """Return 1 / (60 + rank), equal scores sharing the better rank; 0 for those without a score."""
    descending = sorted((score for score in scores if score is not None), reverse=True)
    places = {score: place for place, score in reversed(list(enumerate(descending, start=1)))}
    return [0.0 if score is None else 1 / (RRF_K + places[score]) for score in scores]


SCALES: Mapping[Literal["weighted", "rrf"], Scale] = {"weighted": unit_range, "rrf": reciprocal_ranks}
"""How the scores of each method of fusion become comparable."""


def weighted(
    one: Sequence[float | None], other: Sequence[float | None], weight: float, *, scale: Scale = unit_range
) -> list[float]:
    """Return `weight` times the one and the rest of the other, each scaled over all of its own."""
    scaled = zip(scale(one), scale(other), strict=True)
    return [weight * first + (1 - weight) * second for first, second in scaled]
