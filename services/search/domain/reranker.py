"""The order of the best hits, by what ranked them first and by a model that read them closely."""

from collections.abc import Sequence
from dataclasses import replace

from services.search.domain.fusion import RankedCandidate, best_first
from shared.retrieval.fusion import weighted


def reordered(
    ranked: Sequence[RankedCandidate], own: Sequence[float], *, weight: float
) -> list[RankedCandidate]:
    """Order the first `len(own)` hits anew; `weight` is that of the order they come in.

    Both scores are scaled to 0 .. 1 over these hits. What comes out lies between the score of the last of
    them and 1, so that scores still fall from hit to hit.
    """
    best, rest = ranked[: len(own)], ranked[len(own) :]
    if not best:
        return list(ranked)
    floor = min(hit.score for hit in best)
    both = weighted([hit.score for hit in best], own, weight)
    reread = [
        replace(hit, score=floor + (1 - floor) * share, reranker=score)
        for hit, share, score in zip(best, both, own, strict=True)
    ]
    return [*sorted(reread, key=best_first), *rest]
