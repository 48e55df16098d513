"""What an alert on a canary says, and what to do about it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.judgements import Canary
from services.monitor.canaries.domain import findings
from services.monitor.canaries.domain.reach import partiality, reachability
from services.monitor.canaries.domain.verdict import (
    CanaryRule,
    CanaryVerdict,
    Circumstances,
    Memory,
    Overall,
    judge,
    overall,
)
from shared.retrieval.recall import Score

G1 = Circumstances("g1", datetime(2026, 11, 21, tzinfo=UTC), changed=False)
SHOE = Canary(canary_id="shoe", query="red shoe", product_ids=("p1", "p2", "p3", "p4"), k=10)


def verdict(*recalls: float, canary: Canary = SHOE, missing: tuple[str, ...] = ()) -> CanaryVerdict:
    memory = Memory()
    for recall in recalls:
        judged = judge(canary, Score(recall, recall, missing), memory, rule=CanaryRule(), circumstances=G1)
        memory = judged.memory
    return judged


def test_a_healthy_canary_has_nothing_to_do():
    seen = findings.recall(verdict(1.0, 1.0), G1)
    assert (seen.breached, seen.action, seen.key) == (False, "nothing to do", "canary-recall:g1:shoe")
    assert "finds 4 of 4 known products in its top 10" in seen.summary
    assert seen.evidence["recall_before"] == 1.0


def test_a_canary_that_lost_products_names_the_first_and_says_how_to_look():
    seen = findings.recall(verdict(1.0, 1.0, 1.0, 0.5, missing=("p2", "p3")), G1)
    assert seen.breached
    assert "finds 2 of 4 known products" in seen.summary
    assert "(recall 0.50, limit 0.90)" in seen.summary
    assert "GET /product/p2" in seen.action
    assert "headrace canaries remove shoe" in seen.action
    assert "ranks below 10" in seen.action
    assert (seen.signature, seen.severity) == ("2/4", "warning")


def test_a_canary_that_was_never_right_is_itself_in_doubt():
    seen = findings.recall(verdict(0.0, 0.0, 0.0, missing=SHOE.product_ids), G1)
    assert seen.breached
    assert "check that p1 is in the catalogue" in seen.action
    assert "headrace canaries add --id shoe" in seen.action
    assert "recall_before" not in seen.evidence


@pytest.mark.parametrize(
    ("minimum", "recalls", "severity"),
    [
        (None, (1.0, 1.0, 1.0, 0.5), "warning"),
        (None, (1.0, 1.0, 1.0, 0.0), "critical"),  # it found them a moment ago, and finds nothing
        (0.9, (1.0, 0.5), "critical"),  # what somebody asked for
        (None, (0.0, 0.0, 0.0), "warning"),
    ],
)
def test_how_severe_a_fall_is(minimum, recalls, severity):
    canary = SHOE.model_copy(update={"minimum_recall": minimum})
    assert findings.recall(verdict(*recalls, canary=canary), G1).severity == severity


def test_only_so_many_missing_products_are_listed():
    many = SHOE.model_copy(update={"product_ids": tuple(f"p{n}" for n in range(50))})
    seen = findings.recall(verdict(1.0, 0.0, canary=many, missing=many.product_ids), G1)
    assert len(seen.evidence["missing"]) == findings.LISTED
    assert "finds 0 of 50" in seen.summary


def test_a_long_query_is_cut():
    long = SHOE.model_copy(update={"query": "very " * 40})
    assert "…”" in findings.recall(verdict(1.0, canary=long), G1).summary
    sixty = SHOE.model_copy(update={"query": "q" * 60})
    assert f"“{'q' * 60}”" in findings.recall(verdict(1.0, canary=sixty), G1).summary


def test_a_rank_that_fell_is_told_for_information():
    memory = verdict(1.0, 1.0, 1.0).memory
    judged = judge(SHOE, Score(1.0, 0.25), memory, rule=CanaryRule(), circumstances=G1)
    seen = findings.rank(judged, G1)
    assert seen is not None
    assert (seen.breached, seen.severity, seen.key) == (True, "info", "canary-rank:g1:shoe")
    assert "is at rank 4, usually at 1" in seen.summary
    assert "explains the rank of p1" in seen.action
    fine = findings.rank(verdict(1.0, 1.0, 1.0, 1.0), G1)
    assert fine is not None
    assert (fine.breached, fine.action) == (False, "nothing to do")


def test_a_rank_without_a_past_is_none():
    first = findings.rank(verdict(1.0), G1)
    assert first is not None
    assert "is at rank 1, usually at none" in first.summary


def whole(**changes: object) -> Overall:
    values = {
        "recall": 0.8,
        "reference": 0.9,
        "canaries": 10,
        "breached": True,
        "low": ("a", "b"),
        "cause": "drift",
    }
    return Overall(**{**values, **changes})


def test_the_mean_over_all_canaries_names_those_that_are_low():
    seen = findings.mean_recall(whole(), G1)
    assert seen.key == "canaries-overall:g1"
    assert "mean canary recall on g1 is 0.800, usually 0.900, over 10 canaries" in seen.summary
    assert "canaries breached: a, b;" in seen.action
    assert (seen.severity, seen.cause) == ("warning", "drift")
    assert findings.mean_recall(whole(recall=0.4), G1).severity == "critical"
    assert "many fell a little" in findings.mean_recall(whole(low=()), G1).action
    assert findings.mean_recall(whole(breached=False), G1).action == "nothing to do"


def test_many_small_falls_are_one_alert_although_no_canary_is_below_its_limit():
    verdicts = [verdict(1.0, 1.0, 1.0, 0.93) for _ in range(5)]
    together = overall(verdicts, rule=CanaryRule())
    assert together is not None
    assert (together.breached, together.low) == (True, ())


def test_a_canary_that_search_refuses_says_why_and_one_that_it_takes_nothing():
    seen = findings.refused(SHOE, "the query is blank", G1)
    assert (seen.breached, seen.evidence["why"]) == (True, "the query is blank")
    assert "is refused by search: the query is blank" in seen.summary
    assert "headrace canaries remove shoe" in seen.action
    assert findings.refused(SHOE, None, G1).breached is False


def test_alerts_of_canaries_that_are_gone_are_closed_on_this_generation_only():
    gone = SHOE.model_copy(update={"canary_id": "gone"})
    keys = [
        findings.canary_key(detector, canary, generation)
        for detector in sorted(findings.DETECTORS)
        for canary in (SHOE, gone)
        for generation in ("g1", "g2")
    ]
    closed = findings.removed([*keys, "canaries-overall:g1", "freshness:g1"], [SHOE], G1)
    assert [seen.key for seen in closed] == [
        "canary-rank:g1:gone",
        "canary-recall:g1:gone",
        "canary-refused:g1:gone",
    ]
    assert all(seen.final and not seen.breached for seen in closed)


@given(asked=st.integers(1, 30), failed=st.data())
def test_search_is_unreachable_exactly_when_a_search_failed_and_critical_from_half_on(asked, failed):
    count = failed.draw(st.integers(0, asked))
    seen = reachability(asked, ["no answer"] * count, generation="g1")
    assert seen is not None
    assert seen.breached == (count > 0)
    assert (seen.severity == "critical") == (2 * count >= asked)
    assert seen.signature == ("all" if count == asked else "some")
    assert (seen.action == "nothing to do") == (count == 0)


def test_the_commonest_failure_is_named_first():
    seen = reachability(5, ["HTTP 500", "no answer", "no answer"], generation="g1")
    assert seen is not None
    assert seen.summary == "3 of 5 canary searches failed: no answer"
    assert seen.evidence["reasons"] == ("no answer", "HTTP 500")


@given(asked=st.integers(0, 30), incomplete=st.integers(0, 30))
def test_partial_answers_are_a_finding_of_what_was_asked(asked, incomplete):
    seen = partiality(asked, min(incomplete, asked), generation="g1")
    if asked == 0:
        assert seen is None
    else:
        assert seen is not None
        assert seen.breached == (min(incomplete, asked) > 0)
        assert (seen.action == "nothing to do") == (not seen.breached)
