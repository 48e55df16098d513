"""The order of the best hits, by what ranked them first and by a model that read them closely."""

from collections.abc import Sequence
from dataclasses import replace

from services.search.domain.fusion import Ranked
from shared.fusion import unit_range


def reordered(ranked: Sequence[Ranked], own: Sequence[float], *, weight: float) -> list[Ranked]:
    """Order the first `len(own)` hits anew; `weight` is that of the order they come in.

    Both scores are scaled to 0 .. 1 over these hits. What comes out lies between the score of the last of
    them and 1, so that scores still fall from hit to hit.
    """
    best, rest = ranked[: len(own)], ranked[len(own) :]
    if not best:
        return list(ranked)
    floor = min(each.score for each in best)
    pairs = zip(unit_range([each.score for each in best]), unit_range(own), strict=True)
    scores = [floor + (1 - floor) * (weight * first + (1 - weight) * last) for first, last in pairs]
    found = [
        replace(each, score=score, last_stage=said)
        for each, score, said in zip(best, scores, own, strict=True)
    ]
    return [*sorted(found, key=lambda each: (-each.score, each.candidate.product_id)), *rest]
