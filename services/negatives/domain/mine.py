"""The four steps in a row: from a query's plan and the index's answer to its negatives."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.judgements import Negative
from services.negatives.domain.candidates import Retrieved, candidates
from services.negatives.domain.filter import Filter
from services.negatives.domain.plan import Plan
from services.negatives.domain.rules import Rules
from services.negatives.domain.sample import Chosen, sample


@dataclass(frozen=True, slots=True)
class Mined:
    """The negatives of a query, best rank first, and how many candidates were refused why."""

    negatives: tuple[Negative, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


def mine(query: str, plan: Plan, retrieved: Retrieved, *, rules: Rules, now: datetime) -> Mined:
    """Return the query's negatives; none when no positive has a score to measure them by."""
    weakest = retrieved.weakest
    if weakest is None:
        return Mined()
    judge = Filter(plan, rules, weakest=weakest, alike=retrieved.alike)
    refused: Counter[str] = Counter()
    admitted = []
    for candidate in candidates(retrieved.hits, rules.depth):
        reason = judge.refuse(candidate)
        if reason is None:
            admitted.append(candidate)
        else:
            refused[reason.value] += 1
    chosen = sample(admitted, rules, weakest=weakest, seed=f"{query}\t{retrieved.fingerprint}")
    return Mined(tuple(_message(query, plan, retrieved, chosen=it, now=now) for it in chosen), refused)


def _message(query: str, plan: Plan, retrieved: Retrieved, *, chosen: Chosen, now: datetime) -> Negative:
    hit = chosen.candidate.hit
    return Negative(
        query=query,
        product_id=hit.product_id,
        difficulty=chosen.difficulty,
        score=chosen.score,
        positive_score=retrieved.weakest or 0.0,
        rank=chosen.candidate.rank,
        skipped=hit.product_id in plan.skipped,
        source=chosen.candidate.source,
        partition=hit.partition,
        offset=hit.offset,
        generation=retrieved.generation,
        fingerprint=retrieved.fingerprint,
        mined_at=now,
    )
