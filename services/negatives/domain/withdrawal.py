"""Why what was published is no negative any more."""

from enum import StrEnum

from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.plan import MiningPlan


class Withdrawal(StrEnum):
    """Why a negative is taken back."""

    ENGAGED = "engaged"
    """Shoppers acted upon it."""
    RELEVANT = "relevant"
    CO_POSITIVE = "co_positive"
    NO_POSITIVE = "no_positive"
    """The query has lost its positives."""
    REPLACED = "replaced"
    """It would not be mined now: the index ranks others, or another rule refuses it."""


def why_withdrawn(product_id: str, evidence: RelevanceEvidence | None, plan: MiningPlan | None) -> Withdrawal:
    """Return why a product that was a negative of a query is none by this plan."""
    if evidence is not None and evidence.actions:
        return Withdrawal.ENGAGED
    if plan is None:
        return Withdrawal.NO_POSITIVE
    if product_id in plan.relevant:
        return Withdrawal.RELEVANT
    return Withdrawal.CO_POSITIVE if product_id in plan.co_positives else Withdrawal.REPLACED
