"""Step one: from all that is judged of a query to what mining must respect."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.negatives.domain.fact import Fact
from services.negatives.domain.rules import Rules


@dataclass(frozen=True, slots=True)
class Plan:
    """A query with at least one positive."""

    positives: tuple[str, ...]
    """Best grade first."""
    engaged: frozenset[str]
    """Products with any action at all: never a negative."""
    relevant: frozenset[str]
    """Products that are not worse than average, on evidence, although nobody acted on them."""
    skipped: frozenset[str]
    """Products that were looked at often and never acted on."""
    together: frozenset[str] = frozenset()
    """Products that are right for another query together with a positive of this one."""


def plan(facts: Mapping[str, Fact], rules: Rules) -> Plan | None:
    """Return the plan, or None when no product is known to be right."""
    positives = [product_id for product_id, fact in facts.items() if _positive(fact, rules)]
    if not positives:
        return None
    looked_at = {product_id: fact for product_id, fact in facts.items() if not fact.actions}
    return Plan(
        positives=tuple(sorted(positives, key=lambda product_id: (-facts[product_id].grade, product_id))),
        engaged=frozenset(facts.keys() - looked_at.keys()),
        relevant=frozenset(product_id for product_id, fact in looked_at.items() if _relevant(fact, rules)),
        skipped=frozenset(
            product_id for product_id, fact in looked_at.items() if fact.expected >= rules.skipped_expected
        ),
    )


def _positive(fact: Fact, rules: Rules) -> bool:
    return fact.grade >= rules.positive_grade and fact.wanted >= rules.positive_actions


def _relevant(fact: Fact, rules: Rules) -> bool:
    return fact.grade >= rules.neutral_grade and fact.expected >= rules.evidence
