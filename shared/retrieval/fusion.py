"""How scores of different kinds become comparable, and two rankings one list that only ever grows.

Which products are held against each other must not depend on how many were asked for: with a list twice as
long all would be scaled anew, and the first page reordered. So the list is made tier by tier. The first tier
is the best `depth` by one score and by the other; each further one is twice as deep, and comes behind.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

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


class Candidates(NamedTuple):
    """Two scores of each candidate (None: none), in the order of their ids."""

    one: Sequence[float | None]
    other: Sequence[float | None]


class Tiers(NamedTuple):
    """How deep the first tier is, and how deep the last: `first`, 2 `first`, 4 `first` and so on."""

    first: int
    last: int

    @classmethod
    def of(cls, k: int, depth: int) -> "Tiers":
        """Return those that a list of `k` products needs."""
        last = depth
        while last < k:
            last *= 2
        return cls(depth, last)

    def members(self, candidates: Candidates) -> Iterator[list[int]]:
        """Yield the places of each tier: of the best by either score, those that none before has."""
        orders = [_order(candidates.one), _order(candidates.other)]
        taken, depth = set[int](), self.first
        while depth <= self.last:
            fresh = sorted({place for order in orders for place in order[:depth]} - taken)
            taken.update(fresh)
            yield fresh
            depth *= 2


def tiered(candidates: Candidates, weight: float, *, scale: Scale, tiers: Tiers) -> list[tuple[int, float]]:
    """Return (place, score), best first, of all that are in a tier; `weight` is of the one score.

    A tier is scaled over itself and those before it. What comes behind has no higher score than what is
    before; equal scores stand in the order of their places.
    """
    one, other = candidates
    ranked: list[tuple[int, float]] = []
    seen: list[int] = []
    for places in tiers.members(candidates):
        seen += places
        scores = weighted([one[n] for n in seen], [other[n] for n in seen], weight, scale=scale)
        highest = ranked[-1][1] if ranked else float("inf")
        fresh = sorted(zip(places, scores[len(ranked) :], strict=True), key=_best_first)
        ranked += [(place, min(score, highest)) for place, score in fresh]
    return ranked


def _order(scores: Sequence[float | None]) -> list[int]:
    scored = [(place, score) for place, score in enumerate(scores) if score is not None]
    return [place for place, _ in sorted(scored, key=_best_first)]


def _best_first(scored: tuple[int, float]) -> tuple[float, int]:
    place, score = scored
    return -score, place
