"""The four steps in a row: from a query's plan and the index's answer to its negatives."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.judgements import Negative
from services.negatives.domain.candidates import Candidate, Hit, Retrieved, candidates
from services.negatives.domain.filter import Filter, Reason
from services.negatives.domain.plan import Plan
from services.negatives.domain.rules import Rules
from services.negatives.domain.sample import Chosen, preferred, sample

DOUBTED = 3
"""Times as many candidates as are taken, which the cross-encoder is asked about."""


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
    admitted, refused = _admitted(plan, retrieved, rules, weakest=weakest)
    taken = preferred(admitted, rules, seed=_seed(query, retrieved))
    chosen = sample(taken, rules, weakest=weakest)
    return Mined(tuple(_message(query, plan, retrieved, chosen=it, now=now) for it in chosen), refused)


def doubtful(query: str, plan: Plan, retrieved: Retrieved, *, rules: Rules) -> list[Hit]:
    """Return the hits that a cross-encoder should be asked about: those that may be taken."""
    if retrieved.weakest is None:
        return []
    admitted, _ = _admitted(plan, retrieved, rules, weakest=retrieved.weakest)
    taken = preferred(admitted, rules, seed=_seed(query, retrieved))
    return [candidate.hit for candidate in taken[: DOUBTED * rules.number]]


def _admitted(
    plan: Plan, retrieved: Retrieved, rules: Rules, *, weakest: float
) -> tuple[list[Candidate], Counter[str]]:
    """Return who may be a negative, and how many may not, by reason."""
    judge = Filter(plan, rules, weakest=weakest, alike=retrieved.alike)
    refused: Counter[str] = Counter()
    admitted = []
    for candidate in candidates(retrieved.hits, rules.depth):
        reason = judge.refuse(candidate) or _vetoed(candidate, retrieved, rules)
        if reason is None:
            admitted.append(candidate)
        else:
            refused[reason.value] += 1
    return admitted, refused


def _vetoed(candidate: Candidate, retrieved: Retrieved, rules: Rules) -> Reason | None:
    """Refuse what the cross-encoder takes for relevant, and what it was not asked about."""
    if retrieved.doubts is None:
        return None
    return Reason.VETO if retrieved.doubts.get(candidate.hit.product_id, 1.0) >= rules.veto else None


def _seed(query: str, retrieved: Retrieved) -> str:
    return f"{query}\t{retrieved.fingerprint}"


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
