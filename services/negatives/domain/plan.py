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
    """Products with any action at all, unless shoppers passed them: never a negative."""
    relevant: frozenset[str]
    """Products that are not worse than average, on evidence, although nobody acted on them."""
    skipped: frozenset[str]
    """Products that were looked at often and never acted on."""
    co_positives: frozenset[str] = frozenset()
    """Products that are positives of another query together with a positive of this one."""
    passed: frozenset[str] = frozenset()
    """Products that shoppers hardly ever acted upon, on their way to products below that they did."""
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
    passed = passed_by(evidence, rules).difference(positives)
    untouched = {name: of_product for name, of_product in evidence.items() if not of_product.actions}
    return MiningPlan(
        positives=tuple(sorted(positives, key=lambda product_id: (-evidence[product_id].grade, product_id))),
        engaged=frozenset(evidence.keys() - untouched.keys() - passed),
        relevant=frozenset(
            product_id
            for product_id, of_product in untouched.items()
            if product_id not in passed and _is_relevant(of_product, rules)
        ),
        skipped=frozenset(
            product_id
            for product_id, of_product in untouched.items()
            if of_product.expected >= rules.skipped_expected
        ),
        passed=passed,
    )


def passed_by(evidence: Mapping[str, RelevanceEvidence], rules: MiningRules) -> frozenset[str]:
    """Return the products that shoppers passed on their way to one below.

    That a product got fewer actions than its places promise says little where shoppers stop at the first one
    that they like. It says much when what was shown below it was acted upon: they had read that far, as in
    "click > skip above" (Joachims, "Optimizing search engines using clickthrough data", KDD 2002), here of
    sums over sessions.
    """
    skipped = {name: row for name, row in evidence.items() if row.is_skipped(rules.passed_expected)}
    passed = set()
    for name, row in skipped.items():
        below = [other for other in evidence.values() if other.prominence < row.prominence]
        expected = sum(other.expected for other in below)
        actions = sum(other.actions for other in below)
        if expected >= rules.passed_expected and actions >= rules.went_on * expected:
            passed.add(name)
    return frozenset(passed)


def _is_positive(evidence: RelevanceEvidence, rules: MiningRules) -> bool:
    return evidence.grade >= rules.positive_grade and evidence.objective_actions >= rules.positive_actions


def _is_relevant(evidence: RelevanceEvidence, rules: MiningRules) -> bool:
    return evidence.grade >= rules.neutral_grade and evidence.expected >= rules.evidence
