"""Canaries that the live model passes and a candidate fails: what it must find, and does not."""

from collections.abc import Callable, Collection, Iterable

from schemas.judgements import Canary
from shared.retrieval.recall import Score, score

Page = Callable[[str, int], Collection[str]]
"""Returns the first products that are found for a query, so many."""


def askable(canaries: Iterable[Canary], products: Collection[str]) -> list[Canary]:
    """Return the canaries all of whose products there are: a data set may have a sample of the catalogue."""
    return [canary for canary in canaries if all(name in products for name in canary.product_ids)]


def failed(canaries: Iterable[Canary], *, live: Page, candidate: Page) -> tuple[str, ...]:
    """Return, a phrase each, which canaries the candidate fails that the live model passes.

    One without a minimum of its own is failed when none of its products is found.
    """
    return tuple(
        f"fails canary {canary.canary_id}: “{canary.query}” finds {_found(canary, after)} of its "
        f"{len(canary.product_ids)} products among the first {canary.k}, the live model "
        f"{_found(canary, before)}"
        for canary in canaries
        for before, after in [(_score(canary, live), _score(canary, candidate))]
        if before.reaches(canary.minimum_recall) and not after.reaches(canary.minimum_recall)
    )


def _score(canary: Canary, page: Page) -> Score:
    return score(canary.product_ids, [*page(canary.query, canary.k)], k=canary.k)


def _found(canary: Canary, result: Score) -> int:
    return len(canary.product_ids) - len(result.missing)
