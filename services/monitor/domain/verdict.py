"""From a canary's score to a verdict: compared with its minimum, or with its own past."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.judgements import Canary
from services.monitor.domain.baseline import SETTLE, Baseline
from services.monitor.domain.cause import cause_of
from services.monitor.domain.observation import Cause
from services.monitor.domain.score import Score, mean


class Rule(BaseModel):
    """How far a result may fall: recall by a difference, reciprocal rank to a share."""

    model_config = ConfigDict(frozen=True)

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
class Verdict:
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


def judge(canary: Canary, scored: Score, memory: Memory, *, rule: Rule, seen: Circumstances) -> Verdict:
    """Compare one score with the canary's minimum or its past; learn from it only when it is healthy.

    A canary that was never healthy is given `SETTLE` runs before finding nothing counts as a breach: it
    may be older than the catalogue that is being loaded.
    """
    fresh = Memory(definition=definition_of(canary))
    past = memory if memory.definition == fresh.definition else fresh
    limit = _limit(canary, past, rule)
    healthy = scored.recall >= limit and scored.recall > 0
    expected = canary.minimum_recall is not None or past.before is not None or past.runs + 1 >= SETTLE
    result = Result(
        generation=seen.generation,
        canary_id=canary.canary_id,
        query=canary.query,
        k=canary.k,
        recall=scored.recall,
        reciprocal_rank=scored.reciprocal_rank,
        missing=scored.missing,
        limit=limit,
        breached=not healthy and expected,
        ran_at=seen.now,
    )
    after = _learn(past, scored) if healthy else _suffer(past, scored, changed=seen.changed)
    return Verdict(canary, past, after, result, rank_limit=(past.rank.reference or 0.0) * rule.rank_share)


def overall(verdicts: Sequence[Verdict], *, rule: Rule) -> Overall | None:
    """Judge all canaries of a run together; None while none has a reference."""
    settled = [v for v in verdicts if v.memory.recall.reference is not None]
    if not settled:
        return None
    recall = mean([v.result.recall for v in settled])
    reference = mean([v.memory.recall.reference or 0.0 for v in settled])
    return Overall(
        recall=recall,
        reference=reference,
        canaries=len(settled),
        breached=recall < reference - rule.overall_tolerance,
        low=tuple(v.result.canary_id for v in verdicts if v.result.breached),
        cause=_shared_cause(settled),
    )


def _limit(canary: Canary, past: Memory, rule: Rule) -> float:
    if canary.minimum_recall is not None:
        return canary.minimum_recall
    if past.recall.reference is None:
        return 0.0
    return max(0.0, past.recall.reference - rule.recall_tolerance)


def _learn(past: Memory, scored: Score) -> Memory:
    return Memory(
        definition=past.definition,
        runs=past.runs + 1,
        recall=past.recall.learn(scored.recall),
        rank=past.rank.learn(scored.reciprocal_rank),
        before=scored.recall,
    )


def _suffer(past: Memory, scored: Score, *, changed: bool) -> Memory:
    """Judge the cause; at the second look once more, since owners announce a change a moment late."""
    known = past.cause not in {None, "unknown"} or past.breaches >= 2
    cause = past.cause if known else _cause(past, scored, changed=changed)
    return past.model_copy(update={"runs": past.runs + 1, "breaches": past.breaches + 1, "cause": cause})


def _cause(past: Memory, scored: Score, *, changed: bool) -> Cause:
    if past.before is None:
        return "unknown"
    reference = past.before if past.recall.reference is None else past.recall.reference
    return cause_of(reference=reference, before=past.before, value=scored.recall, changed=changed)


def _shared_cause(verdicts: Sequence[Verdict]) -> Cause:
    """Return the most frequent known cause among the breached."""
    causes: list[Cause] = [v.memory.cause for v in verdicts if v.memory.cause not in {None, "unknown"}]
    return max(causes, key=causes.count, default="unknown")
