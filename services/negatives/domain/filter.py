"""Step three: who may not be a negative, and why."""

from collections.abc import Sequence
from enum import StrEnum

from services.negatives.domain.candidates import Candidate, Likeness
from services.negatives.domain.plan import Plan
from services.negatives.domain.rules import Rules


class Reason(StrEnum):
    """Why a candidate is refused."""

    POSITIVE = "positive"
    ENGAGED = "engaged"
    RELEVANT = "relevant"
    TOGETHER = "together"
    """It is right for another query together with a positive."""
    SAME_CODE = "same_code"
    DUPLICATE = "duplicate"
    UNSCORED = "unscored"
    """It has no vector, so nobody can say how close it is."""
    TOO_CLOSE = "too_close"
    VETO = "veto"
    """The cross-encoder takes it for relevant, or was not asked: it is no better than those it refused."""


class Filter:
    """Refuses what is, or may be, relevant to one query."""

    def __init__(self, plan: Plan, rules: Rules, *, weakest: float, alike: Sequence[Likeness]) -> None:
        self._plan = plan
        self._rules = rules
        self._threshold = rules.threshold(weakest)
        self._alike = alike

    def refuse(self, candidate: Candidate) -> Reason | None:
        """Return the reason to refuse it, or None when it is a negative.

        The margin is TopK-PercPos of NV-Retriever (arXiv 2407.15831).
        """
        return self._known(candidate.hit.product_id) or self._like(candidate) or self._close(candidate)

    def _known(self, product_id: str) -> Reason | None:
        if product_id in self._plan.positives:
            return Reason.POSITIVE
        if product_id in self._plan.engaged:
            return Reason.ENGAGED
        if product_id in self._plan.relevant:
            return Reason.RELEVANT
        return Reason.TOGETHER if product_id in self._plan.together else None

    def _like(self, candidate: Candidate) -> Reason | None:
        like = candidate.hit.likeness
        if any(like.same_code(other) for other in self._alike):
            return Reason.SAME_CODE
        same = any(like.same_title(other, self._rules.overlap) for other in self._alike)
        return Reason.DUPLICATE if same else None

    def _close(self, candidate: Candidate) -> Reason | None:
        if candidate.hit.dense is None:
            return Reason.UNSCORED
        return Reason.TOO_CLOSE if candidate.hit.dense > self._threshold else None
