"""From a canary's score to a verdict: compared with its minimum, or with its own past."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.judgements import Canary
from services.monitor.alerts.domain.observation import Cause
from services.monitor.canaries.domain.baseline import SETTLE, Baseline
from services.monitor.canaries.domain.cause import cause_of
from shared.retrieval.recall import Score, mean


class CanaryRule(BaseModel):
    """How far a result may fall: recall by a difference, reciprocal rank to a share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recall_tolerance: float = 0.1
    rank_share: float = 0.5
    overall_tolerance: float = 0.05


class Memory(BaseModel):
    """What is remembered of one canary on one generation between runs."""

    model_config = ConfigDict(frozen=True)

    definition: str = ""
    """Digest of the canary; another definition starts anew."""
    runs: int = 0
    recall: Baseline = Baseline()
    rank: Baseline = Baseline()
    before: float | None = None
    """Recall of the last healthy run."""
    breaches: int = 0
    """Runs in a row that were not healthy."""
    cause: Cause | None = None
    """Judged at the first runs of a breach and kept to its end; None while healthy."""


class Result(BaseModel):
    """The last run of one canary, as `GET /canaries` shows it."""

    model_config = ConfigDict(frozen=True)

    generation: str
    canary_id: str
    query: str
    k: int
    recall: float
    reciprocal_rank: float
    missing: tuple[str, ...] = ()
    limit: float
    """Recall below which it is not healthy."""
    breached: bool
    ran_at: datetime


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and where the run took place, and whether the index changed since the one before."""

    generation: str
    now: datetime
    changed: bool


@dataclass(frozen=True, slots=True)
class CanaryVerdict:
    """A judged run: what was known before it, what to remember, what to show."""

    canary: Canary
    past: Memory
    memory: Memory
    result: Result
    rank_limit: float
    """Reciprocal rank below which the first known product has fallen too far."""


@dataclass(frozen=True, slots=True)
class Overall:
    """Mean recall beside the mean of the references, over the canaries that have one."""

    recall: float
    reference: float
    canaries: int
    breached: bool
    low: tuple[str, ...]
    """Canaries below their own limit."""
    cause: Cause


def definition_of(canary: Canary) -> str:
    """Return a digest of everything that the results depend on."""
    return hashlib.sha256(canary.encode()).hexdigest()[:16]


def judge(
    canary: Canary, score: Score, memory: Memory, *, rule: CanaryRule, circumstances: Circumstances
) -> CanaryVerdict:
    """Compare one score with the canary's minimum or its past; learn from it only when it is healthy.

    A canary that was never healthy is given `SETTLE` runs before finding nothing counts as a breach: it
    may be older than the catalogue that is being loaded.
    """
    unlearned = Memory(definition=definition_of(canary))
    past = memory if memory.definition == unlearned.definition else unlearned
    limit = _limit(canary, past, rule)
    healthy = score.recall >= limit and score.recall > 0
    expected = canary.minimum_recall is not None or past.before is not None or past.runs + 1 >= SETTLE
    result = Result(
        generation=circumstances.generation,
        canary_id=canary.canary_id,
        query=canary.query,
        k=canary.k,
        recall=score.recall,
        reciprocal_rank=score.reciprocal_rank,
        missing=score.missing,
        limit=limit,
        breached=not healthy and expected,
        ran_at=circumstances.now,
    )
    after = _learn(past, score) if healthy else _count_breach(past, score, changed=circumstances.changed)
    return CanaryVerdict(
        canary, past, after, result, rank_limit=(past.rank.reference or 0.0) * rule.rank_share
    )


def overall(verdicts: Sequence[CanaryVerdict], *, rule: CanaryRule) -> Overall | None:
    """Judge all canaries of a run together; None while none has a reference."""
    settled = [verdict for verdict in verdicts if verdict.memory.recall.reference is not None]
    if not settled:
        return None
    recall = mean([verdict.result.recall for verdict in settled])
    reference = mean([verdict.memory.recall.reference or 0.0 for verdict in settled])
    return Overall(
        recall=recall,
        reference=reference,
        canaries=len(settled),
        breached=recall < reference - rule.overall_tolerance,
        low=tuple(verdict.result.canary_id for verdict in verdicts if verdict.result.breached),
        cause=_shared_cause(settled),
    )


def _limit(canary: Canary, past: Memory, rule: CanaryRule) -> float:
    if canary.minimum_recall is not None:
        return canary.minimum_recall
    if past.recall.reference is None:
        return 0.0
    return max(0.0, past.recall.reference - rule.recall_tolerance)


def _learn(past: Memory, score: Score) -> Memory:
    return Memory(
        definition=past.definition,
        runs=past.runs + 1,
        recall=past.recall.learn(score.recall),
        rank=past.rank.learn(score.reciprocal_rank),
        before=score.recall,
    )


def _count_breach(past: Memory, score: Score, *, changed: bool) -> Memory:
    """Count a breach and judge its cause; at the second look once more: owners announce a change late."""
    decided = past.cause not in {None, "unknown"} or past.breaches >= 2
    cause = past.cause if decided else _cause(past, score, changed=changed)
    return past.model_copy(update={"runs": past.runs + 1, "breaches": past.breaches + 1, "cause": cause})


def _cause(past: Memory, score: Score, *, changed: bool) -> Cause:
    if past.before is None:
        return "unknown"
    reference = past.before if past.recall.reference is None else past.recall.reference
    return cause_of(reference=reference, before=past.before, value=score.recall, changed=changed)


def _shared_cause(verdicts: Sequence[CanaryVerdict]) -> Cause:
    """Return the most frequent known cause among the breached."""
    causes: list[Cause] = [
        verdict.memory.cause for verdict in verdicts if verdict.memory.cause not in {None, "unknown"}
    ]
    return max(causes, key=causes.count, default="unknown")
