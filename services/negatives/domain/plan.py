"""Step one: from all that is judged of a query to what mining must respect."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.rules import MiningRules
from shared.relevance.judge import UNTAUGHT, RelevanceJudge


@dataclass(frozen=True, slots=True)
class MiningPlan:
    """A query with at least one positive."""

    positives: tuple[str, ...]
    """Best grade first."""
    engaged: frozenset[str]
    """Products with any action at all: never a negative."""
    relevant: frozenset[str]
    """Products that are not worse than average, on evidence, although nobody acted on them."""
    skipped: frozenset[str]
    """Products that were looked at often and never acted on."""
    co_positives: frozenset[str] = frozenset()
    """Products that are positives of another query together with a positive of this one."""
    judge: RelevanceJudge = UNTAUGHT
    """Says how likely a product is relevant that nobody was shown."""

    @property
    def right(self) -> frozenset[str]:
        """Return all that may be relevant: what is the same product as one of them is no negative either."""
        return self.engaged.union(self.positives, self.relevant, self.co_positives)


def plan_mining(evidence: Mapping[str, RelevanceEvidence], rules: MiningRules) -> MiningPlan | None:
    """Return the plan by the evidence of each product, or None when no product is a positive."""
    positives = [product_id for product_id, of_product in evidence.items() if _is_positive(of_product, rules)]
    if not positives:
        return None
    untouched = {name: of_product for name, of_product in evidence.items() if not of_product.actions}
    return MiningPlan(
        positives=tuple(sorted(positives, key=lambda product_id: (-evidence[product_id].grade, product_id))),
        engaged=frozenset(evidence.keys() - untouched.keys()),
        relevant=frozenset(
            product_id for product_id, of_product in untouched.items() if _is_relevant(of_product, rules)
        ),
        skipped=frozenset(
            product_id
            for product_id, of_product in untouched.items()
            if of_product.expected >= rules.skipped_expected
        ),
    )


def _is_positive(evidence: RelevanceEvidence, rules: MiningRules) -> bool:
    return evidence.grade >= rules.positive_grade and evidence.objective_actions >= rules.positive_actions


def _is_relevant(evidence: RelevanceEvidence, rules: MiningRules) -> bool:
    return evidence.grade >= rules.neutral_grade and evidence.expected >= rules.evidence
