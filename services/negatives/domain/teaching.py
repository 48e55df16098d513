"""What a query teaches the judge of relevance: what shoppers chose for it, and what is far from it."""

from collections.abc import Mapping

from services.negatives.domain.candidates import Retrieved, RetrievedProduct, best_by_vector
from services.negatives.domain.evidence import RelevanceEvidence
from shared.relevance.judge import share_of_weakest
from shared.relevance.learning import FAR_WEIGHT, JudgedPair, far

CERTAIN = 2
"""Actions from which on a product was chosen for certain; one may be by accident."""


def lesson(evidence: Mapping[str, RelevanceEvidence], retrieved: Retrieved) -> tuple[JudgedPair, ...]:
    """Return the pairs that a query teaches.

    What shoppers were shown and did not choose teaches nothing: they may have stopped before.
    """
    weakest = retrieved.weakest
    if weakest is None:
        return ()
    ordered = best_by_vector(retrieved.hits)
    chosen = [hit for hit in ordered if hit.product_id in evidence and evidence[hit.product_id].actions]
    return (
        *(
            _pair(hit, weakest, min(1, evidence[hit.product_id].actions / CERTAIN), chosen=True)
            for hit in chosen
        ),
        *(
            _pair(hit, weakest, FAR_WEIGHT, chosen=False)
            for hit in far(ordered, lambda hit: hit.product_id in evidence)
        ),
    )


def _pair(hit: RetrievedProduct, weakest: float, weight: float, *, chosen: bool) -> JudgedPair:
    cosine = share_of_weakest(hit.dense or 0.0, weakest)
    return JudgedPair(round(cosine, 3), round(hit.coverage, 3), chosen, weight)
