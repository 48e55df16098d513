"""Step three: who may not be a negative, and why."""

from collections.abc import Sequence
from enum import StrEnum

from services.negatives.domain.candidates import NegativeCandidate
from services.negatives.domain.plan import MiningPlan
from services.negatives.domain.rules import MiningRules
from shared.catalogue.product_identity import ProductIdentity
from shared.relevance.judge import share_of_weakest


class Reason(StrEnum):
    """Why a candidate is refused."""

    POSITIVE = "positive"
    ENGAGED = "engaged"
    RELEVANT = "relevant"
    CO_POSITIVE = "co_positive"
    """It is a positive of another query together with a positive of this one."""
    SAME_CODE = "same_code"
    DUPLICATE = "duplicate"
    UNSCORED = "unscored"
    """It has no vector, so nobody can say how close it is."""
    TOO_CLOSE = "too_close"
    LIKELY = "likely"
    """The judge finds it too much like what shoppers choose."""
    VETO = "veto"
    """The cross-encoder takes it for relevant, or was not asked: it is no better than those it refused."""


class Filter:
    """Refuses what is, or may be, relevant to one query."""

    def __init__(
        self, plan: MiningPlan, rules: MiningRules, *, weakest: float, positives: Sequence[ProductIdentity]
    ) -> None:
        self._plan = plan
        self._rules = rules
        self._weakest = weakest
        self._threshold = rules.threshold(weakest)
        self._positives = positives

    def refuse(self, candidate: NegativeCandidate) -> Reason | None:
        """Return the reason to refuse it, or None when it is a negative.

        The margin is TopK-PercPos of NV-Retriever (arXiv 2407.15831). What shoppers passed may be as close as
        it likes: they have decided.
        """
        return (
            self._refuse_by_evidence(candidate.hit.product_id)
            or self._refuse_duplicate(candidate)
            or self._refuse_by_score(candidate)
        )

    def _refuse_by_evidence(self, product_id: str) -> Reason | None:
        if product_id in self._plan.positives:
            return Reason.POSITIVE
        if product_id in self._plan.engaged:
            return Reason.ENGAGED
        if product_id in self._plan.relevant:
            return Reason.RELEVANT
        return Reason.CO_POSITIVE if product_id in self._plan.co_positives else None

    def _refuse_duplicate(self, candidate: NegativeCandidate) -> Reason | None:
        identity = candidate.hit.identity
        if any(identity.has_code_of(positive) for positive in self._positives):
            return Reason.SAME_CODE
        same = any(identity.has_title_of(positive, self._rules.overlap) for positive in self._positives)
        return Reason.DUPLICATE if same else None

    def _refuse_by_score(self, candidate: NegativeCandidate) -> Reason | None:
        hit = candidate.hit
        if hit.dense is None:
            return Reason.UNSCORED
        if hit.product_id in self._plan.passed:
            return None
        if hit.dense > self._threshold:
            return Reason.TOO_CLOSE
        cosine = share_of_weakest(hit.dense, self._weakest)
        is_likely = self._plan.judge.finds(cosine, hit.covers, likely=self._rules.likely)
        return Reason.LIKELY if is_likely else None
