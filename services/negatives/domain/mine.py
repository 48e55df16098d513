"""The four steps in a row: from a query's plan and the index's answer to its negatives."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.judgements import Negative
from services.negatives.domain.candidates import NegativeCandidate, Retrieved, RetrievedProduct, candidates
from services.negatives.domain.filter import Filter, Reason
from services.negatives.domain.plan import MiningPlan
from services.negatives.domain.rules import MiningRules
from services.negatives.domain.sample import CROSS_SCORED, SampledNegative, preferred, sample


@dataclass(frozen=True, slots=True)
class Mined:
    """The negatives of a query, best rank first, and how many candidates were refused why."""

    negatives: tuple[Negative, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


def mine(query: str, plan: MiningPlan, retrieved: Retrieved, *, rules: MiningRules, now: datetime) -> Mined:
    """Return the query's negatives; none when no positive has a score to measure them by."""
    weakest = retrieved.weakest
    if weakest is None:
        return Mined()
    admitted, refused = _admitted(plan, retrieved, rules, weakest=weakest)
    ordered = preferred(admitted, rules, seed=_seed(query, retrieved))
    negatives = tuple(
        _message(query, plan, retrieved, sampled=sampled, now=now)
        for sampled in sample(ordered, rules, weakest=weakest)
    )
    return Mined(negatives, refused)


def hits_to_cross_score(
    query: str, plan: MiningPlan, retrieved: Retrieved, *, rules: MiningRules
) -> list[RetrievedProduct]:
    """Return the hits that a cross-encoder should be asked about: those that may be taken."""
    if retrieved.weakest is None:
        return []
    admitted, _ = _admitted(plan, retrieved, rules, weakest=retrieved.weakest)
    ordered = preferred(admitted, rules, seed=_seed(query, retrieved))
    return [candidate.hit for candidate in ordered[: CROSS_SCORED * rules.number]]


def _admitted(
    plan: MiningPlan, retrieved: Retrieved, rules: MiningRules, *, weakest: float
) -> tuple[list[NegativeCandidate], Counter[str]]:
    """Return who may be a negative, and how many may not, by reason."""
    judge = Filter(plan, rules, weakest=weakest, positives=retrieved.identities)
    refused: Counter[str] = Counter()
    admitted = []
    for candidate in candidates(retrieved.hits, rules.depth):
        reason = judge.refuse(candidate) or _vetoed(candidate, retrieved, rules)
        if reason is None:
            admitted.append(candidate)
        else:
            refused[reason.value] += 1
    return admitted, refused


def _vetoed(candidate: NegativeCandidate, retrieved: Retrieved, rules: MiningRules) -> Reason | None:
    """Refuse what the cross-encoder takes for relevant, and what it was not asked about."""
    if retrieved.cross_scores is None:
        return None
    return Reason.VETO if retrieved.cross_scores.get(candidate.hit.product_id, 1.0) >= rules.veto else None


def _seed(query: str, retrieved: Retrieved) -> str:
    return f"{query}\t{retrieved.fingerprint}"


def _message(
    query: str, plan: MiningPlan, retrieved: Retrieved, *, sampled: SampledNegative, now: datetime
) -> Negative:
    hit = sampled.candidate.hit
    return Negative(
        query=query,
        product_id=hit.product_id,
        difficulty=sampled.difficulty,
        score=sampled.score,
        positive_score=retrieved.weakest or 0.0,
        rank=sampled.candidate.rank,
        skipped=hit.product_id in plan.skipped | plan.passed,
        source=sampled.candidate.source,
        partition=hit.partition,
        offset=hit.offset,
        generation=retrieved.generation,
        fingerprint=retrieved.fingerprint,
        mined_at=now,
    )
