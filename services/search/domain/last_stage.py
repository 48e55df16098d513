"""The order of the best hits, by what ranked them first and by a model that read them closely."""

from collections.abc import Sequence
from dataclasses import replace

from services.search.domain.fusion import Ranked
from shared.fusion import weighted


def reordered(ranked: Sequence[Ranked], own: Sequence[float], *, weight: float) -> list[Ranked]:
    """Order the first `len(own)` hits anew; `weight` is that of the order they come in.

    Both scores are scaled to 0 .. 1 over these hits. What comes out lies between the score of the last of
    them and 1, so that scores still fall from hit to hit.
    """
    best, rest = ranked[: len(own)], ranked[len(own) :]
    if not best:
        return list(ranked)
    floor = min(each.score for each in best)
    both = weighted([each.score for each in best], own, weight)
    found = [
        replace(each, score=floor + (1 - floor) * share, last_stage=said)
        for each, share, said in zip(best, both, own, strict=True)
    ]
    return [*sorted(found, key=lambda each: (-each.score, each.candidate.product_id)), *rest]
