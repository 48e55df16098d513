"""Scores, baselines, verdicts and causes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerts import alert_key
from schemas.judgements import Canary
from services.monitor.canaries.domain import findings
from services.monitor.canaries.domain.baseline import SETTLE, Baseline
from services.monitor.canaries.domain.cause import cause_of
from services.monitor.canaries.domain.verdict import (
    CanaryRule,
    CanaryVerdict,
    Circumstances,
    Memory,
    judge,
    overall,
)
from shared.retrieval.recall import Score, score

SEEN = Circumstances("g1", datetime(2026, 11, 21, tzinfo=UTC), changed=False)
CHANGED = Circumstances("g1", datetime(2026, 11, 21, tzinfo=UTC), changed=True)
CANARY = Canary(canary_id="c-1", query="red shoe", product_ids=("p1", "p2", "p3", "p4"), k=10)

products = st.lists(st.sampled_from([f"p{n}" for n in range(12)]), max_size=20)
recalls = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def run(results: list[float], canary: Canary = CANARY, memory: Memory | None = None) -> CanaryVerdict:
    memory = memory or Memory()
    for recall in results:
        verdict = judge(canary, Score(recall, recall), memory, rule=CanaryRule(), circumstances=CHANGED)
        memory = Memory.model_validate_json(verdict.memory.model_dump_json())
    return verdict


@given(expected=products.filter(bool), ranked=products, k=st.integers(1, 15))
def test_a_score_lies_in_bounds_and_missing_is_what_is_not_in_the_top(expected, ranked, k):
    scored = score(expected, ranked, k=k)
    top = set(list(dict.fromkeys(ranked))[:k])
    assert 0 <= scored.recall <= 1
    assert set(scored.missing) == set(expected) - top
    assert (scored.reciprocal_rank > 0) == (scored.recall > 0)


@given(expected=products.filter(bool), ranked=products, k=st.integers(1, 15))
def test_scores_equal_those_of_ir_measures(expected, ranked, k):
    measures = pytest.importorskip("ir_measures")
    top = list(dict.fromkeys(ranked))
    qrels = {"q": dict.fromkeys(expected, 1)}
    run_ = {"q": {product: float(-at) for at, product in enumerate(top)}}
    theirs = measures.calc_aggregate([measures.R @ k, measures.RR @ k], qrels, run_)
    ours = score(expected, ranked, k=k)
    assert ours.recall == pytest.approx(theirs[measures.R @ k])
    assert ours.reciprocal_rank == pytest.approx(theirs[measures.RR @ k])


@given(level=recalls, odd=recalls, at=st.integers(0, 5), size=st.integers(SETTLE, 6))
def test_one_odd_run_does_not_move_the_reference(level, odd, at, size):
    values = [level] * size
    values[min(at, size - 1)] = odd
    baseline = Baseline()
    for value in values:
        baseline = baseline.learn(value)
    assert baseline.reference == level


@given(values=st.lists(recalls, max_size=40))
def test_the_reference_never_slides_down(values):
    baseline, references = Baseline(), []
    for value in values:
        baseline = baseline.learn(value)
        references.append(baseline.reference or 0.0)
    assert references == sorted(references)


def test_a_fall_below_its_own_past_is_a_breach_and_is_not_learned():
    verdict = run([1.0] * 5 + [0.5] * 50)
    assert verdict.result.breached
    assert verdict.memory.recall.reference == 1.0
    assert not run([1.0], memory=verdict.memory).result.breached


def test_small_falls_add_up_until_they_are_seen():
    canary = CANARY.model_copy(update={"product_ids": tuple(f"p{n}" for n in range(100))})
    slope = [1 - step / 100 for step in range(11) for _ in range(9)]
    assert not run(slope, canary).result.breached
    assert run([*slope, 0.89], canary).result.breached
    assert run([*slope, 0.89], canary).memory.cause == "drift"


def test_a_minimum_overrides_the_past():
    canary = CANARY.model_copy(update={"minimum_recall": 0.5})
    assert not run([1.0] * 5 + [0.5], canary).result.breached
    assert run([0.25], canary).result.breached


def test_a_canary_that_never_worked_is_given_a_few_runs():
    assert not run([0.0] * (SETTLE - 1)).result.breached
    assert run([0.0] * SETTLE).result.breached


def test_a_canary_that_worked_once_and_finds_nothing_is_a_breach_at_once():
    verdict = run([1.0, 0.0])
    assert verdict.result.breached
    assert findings.recall(verdict, SEEN).severity == "critical"


def test_an_edited_canary_starts_anew():
    worn = run([1.0] * 9).memory
    edited = CANARY.model_copy(update={"product_ids": ("p9", "p1", "p2", "p3")})
    assert not run([0.25], edited, worn).result.breached


def test_a_step_right_after_a_change_is_a_bug_and_stays_one():
    verdict = run([1.0] * 5 + [0.25, 0.25, 0.0])
    assert verdict.memory.cause == "bug"
    assert findings.recall(verdict, SEEN).cause == "bug"
    quiet = judge(CANARY, Score(0.25, 1.0), run([1.0] * 5).memory, rule=CanaryRule(), circumstances=SEEN)
    assert quiet.memory.cause == "unknown"
    announced_late = judge(CANARY, Score(0.25, 1.0), quiet.memory, rule=CanaryRule(), circumstances=CHANGED)
    assert announced_late.memory.cause == "bug"
    again = judge(CANARY, Score(0.25, 1.0), quiet.memory, rule=CanaryRule(), circumstances=SEEN)
    much_later = judge(CANARY, Score(0.25, 1.0), again.memory, rule=CanaryRule(), circumstances=CHANGED)
    assert much_later.memory.cause == "unknown"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_only_a_fall_has_a_cause(reference, before, value, changed):
    cause = cause_of(reference=reference, before=before, value=value, changed=changed)
    assert value < reference or cause == "unknown"
    assert changed or cause != "bug"


def test_a_fall_in_rank_is_told_only_while_recall_is_fine():
    memory = run([1.0] * 3).memory
    deep = judge(CANARY, Score(1.0, 1 / 5), memory, rule=CanaryRule(), circumstances=SEEN)
    said = findings.rank(deep, SEEN)
    assert said is not None
    assert said.breached
    assert "rank 5, usually at 1" in said.summary
    broken = judge(CANARY, Score(0.25, 1 / 5), memory, rule=CanaryRule(), circumstances=SEEN)
    assert findings.rank(broken, SEEN) is None


def test_overall_compares_with_the_references_of_the_same_canaries():
    good = run([1.0] * 4)
    fallen = run([1.0] * 4 + [0.0])
    new = run([0.25])
    whole = overall([good, fallen, new], rule=CanaryRule())
    assert whole is not None
    assert (whole.recall, whole.reference, whole.canaries) == (0.5, 1.0, 2)
    assert whole.breached
    assert whole.low == ("c-1",)
    assert overall([new], rule=CanaryRule()) is None


@given(results=st.lists(recalls, min_size=1, max_size=30))
def test_every_breach_says_what_to_do(results):
    verdict = run(results)
    said = findings.recall(verdict, SEEN)
    assert said.breached == verdict.result.breached
    assert (said.action != "nothing to do") == said.breached


@given(subject=st.text(max_size=200))
def test_an_alerts_key_is_always_a_valid_identifier_and_tells_subjects_apart(subject):
    key = alert_key("canary-recall", subject)
    assert 1 <= len(key) <= 128
    assert all("!" <= c <= "~" for c in key)
    assert key != alert_key("canary-recall", subject + "x")
