"""Each decision of mining at its boundary: who is positive, relevant, skipped, too close, how hard."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import milliseconds
from schemas.judgements import ActionStatistics, Judgement
from services.negatives.domain.candidates import NegativeCandidate, Retrieved, RetrievedProduct, candidates
from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.filter import Filter, Reason
from services.negatives.domain.mine import hits_to_cross_score, mine
from services.negatives.domain.plan import MiningPlan, passed_by, plan_mining
from services.negatives.domain.refresh import RefreshPolicy
from services.negatives.domain.rules import MiningRules
from services.negatives.domain.sample import CROSS_SCORED, difficulty, preferred, sample
from shared.catalogue.product_identity import ProductIdentity

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = MiningRules(likely=1.0, margin=0.8, hard=0.7, medium=0.5, positive_actions=2, positive_grade=1.5)
GOOD = RelevanceEvidence(actions=2, objective_actions=2, expected=1.0, grade=1.5)
SEEN = RelevanceEvidence(actions=0, objective_actions=0, expected=1.0, grade=1.0)
PLAN = MiningPlan(("best",), engaged=frozenset({"best"}), relevant=frozenset(), skipped=frozenset())


def hit(product_id, dense=None, lexical=None, **other):
    return RetrievedProduct(product_id=product_id, dense=dense, lexical=lexical, **other)


def answer(*hits, **other):
    scores = {one.product_id: one.dense for one in hits if one.product_id == "best"}
    values = {"generation": "g2", "fingerprint": "0" * 16, "scores": scores, "identities": (), **other}
    return Retrieved(hits=tuple(hits), **values)


@pytest.mark.parametrize(
    ("changes", "is_positive"),
    [
        ({}, True),
        ({"objective_actions": 1}, False),
        ({"grade": 1.49}, False),
        ({"objective_actions": 3, "grade": 3.0}, True),
    ],
)
def test_a_positive_has_grade_and_actions_enough(changes, is_positive):
    assert (plan_mining({"a": replace(GOOD, **changes)}, RULES) is not None) is is_positive


@pytest.mark.parametrize(
    ("changes", "is_relevant"),
    [({}, True), ({"grade": 0.99}, False), ({"expected": 0.9}, False), ({"expected": 9.0, "grade": 2}, True)],
)
def test_a_product_that_nobody_acted_on_is_relevant_by_grade_and_evidence(changes, is_relevant):
    planned = plan_mining({"a": GOOD, "b": replace(SEEN, **changes)}, RULES)
    assert planned.relevant == ({"b"} if is_relevant else set())
    assert planned.engaged == {"a"}


@pytest.mark.parametrize(("expected", "is_skipped"), [(2.9, False), (3.0, True), (3.1, True)])
def test_a_skipped_product_was_looked_at_often(expected, is_skipped):
    planned = plan_mining({"a": GOOD, "b": replace(SEEN, expected=expected)}, RULES)
    assert planned.skipped == ({"b"} if is_skipped else set())


def test_a_product_with_any_action_is_neither_relevant_nor_skipped():
    acted = RelevanceEvidence(actions=1, objective_actions=0, expected=9.0, grade=1.2)
    planned = plan_mining({"a": GOOD, "b": acted}, RULES)
    assert (planned.engaged, planned.relevant, planned.skipped) == ({"a", "b"}, frozenset(), frozenset())


def test_positives_come_best_grade_first_then_by_id():
    evidence = {name: replace(GOOD, grade=grade) for name, grade in (("c", 2.0), ("a", 2.0), ("b", 2.9))}
    assert plan_mining(evidence, RULES).positives == ("b", "a", "c")


@pytest.mark.parametrize(
    ("dense", "reason"), [(0.401, Reason.TOO_CLOSE), (0.4, None), (None, Reason.UNSCORED)]
)
def test_a_candidate_may_be_as_close_as_the_margin_allows(dense, reason):
    judge = Filter(PLAN, RULES, weakest=0.5, positives=())
    assert judge.refuse(NegativeCandidate(hit("x", dense), 1, "dense")) is reason


def test_reasons_have_an_order_evidence_before_likeness_before_closeness():
    same = ProductIdentity.of({"title": "Red shoe", "gtin": "4006381333931"})
    plan = MiningPlan(
        ("x",),
        engaged=frozenset("x"),
        relevant=frozenset("xy"),
        skipped=frozenset(),
        co_positives=frozenset("xyz"),
    )
    judge = Filter(plan, RULES, weakest=0.1, positives=[same])
    reasons = [judge.refuse(NegativeCandidate(hit(name, 0.9, identity=same), 1, "dense")) for name in "xyzw"]
    assert reasons == [Reason.POSITIVE, Reason.RELEVANT, Reason.CO_POSITIVE, Reason.SAME_CODE]
    engaged = replace(plan, positives=())
    assert (
        Filter(engaged, RULES, weakest=0.1, positives=()).refuse(NegativeCandidate(hit("x", 0.9), 1, "dense"))
        is Reason.ENGAGED
    )


def test_a_duplicate_is_found_by_the_overlap_of_the_rules():
    one, other = (ProductIdentity.of({"title": f"one two three {word}"}) for word in ("four", "five"))
    candidate = NegativeCandidate(hit("x", 0.1, identity=other), 1, "dense")
    for overlap, reason in ((0.6, Reason.DUPLICATE), (0.61, None)):
        judge = Filter(PLAN, replace(RULES, overlap=overlap), weakest=0.5, positives=[one])
        assert judge.refuse(candidate) is reason


@pytest.mark.parametrize(
    ("score", "weakest", "hardness"),
    [
        (0.7, 1.0, "hard"),
        (0.69, 1.0, "medium"),
        (0.5, 1.0, "medium"),
        (0.49, 1.0, "easy"),
        (0.5, 0.0, "easy"),
        (-0.5, -0.4, "easy"),
    ],
)
def test_hardness_begins_at_its_share(score, weakest, hardness):
    assert difficulty(score, weakest, RULES) == hardness


def test_only_ranks_within_the_range_are_taken_first_and_last_included():
    hits = [hit(f"p{number}", 1 - number / 10) for number in range(6)]
    rules = replace(RULES, first_rank=2, last_rank=4, number=9)
    taken = sample(preferred(candidates(hits, 9), rules, seed="s"), rules, weakest=1.0)
    assert [(it.candidate.hit.product_id, it.candidate.rank) for it in taken] == [
        ("p1", 2),
        ("p2", 3),
        ("p3", 4),
    ]


def test_as_many_are_taken_as_wanted_and_best_rank_first_also_when_drawn():
    hits = [hit(f"p{number}", 1 - number / 100) for number in range(30)]
    rules = replace(RULES, number=4, method="random")
    drawn = sample(preferred(candidates(hits, 30), rules, seed="s"), rules, weakest=1.0)
    ranks = [it.candidate.rank for it in drawn]
    assert len(ranks) == 4
    assert ranks == sorted(ranks) != [1, 2, 3, 4]


def test_equal_ranks_are_told_apart_by_closeness_then_id():
    hits = [hit("b", 0.5), hit("c", None, 9.0), hit("a", 0.4, 8.0)]
    ordered = [(it.hit.product_id, it.rank, it.source) for it in candidates(hits, 2)]
    assert ordered == [("b", 1, "dense"), ("c", 1, "lexical"), ("a", 2, "both")]
    twins = [hit("y", 0.5), hit("x", 0.5)]
    assert [it.hit.product_id for it in candidates(twins, 1)] == ["x"]


def test_a_lexical_score_of_nothing_is_no_score():
    assert [it.source for it in candidates([hit("a", 0.5, 0.0)], 5)] == ["dense"]
    assert candidates([hit("a", None, 0.0)], 5) == []


def test_a_negative_says_where_it_comes_from():
    known = replace(PLAN, skipped=frozenset({"x"}))
    found = mine(
        "q",
        known,
        answer(hit("best", 0.9), hit("x", 0.65, 2.0, partition=3, offset=77), hit("y", 0.1)),
        rules=RULES,
        now=NOW,
    )
    x, y = found.negatives
    assert (x.query, x.product_id, x.score, x.positive_score, x.rank) == ("q", "x", 0.65, 0.9, 1)
    assert (x.partition, x.offset, x.source, x.skipped, x.difficulty) == (3, 77, "both", True, "hard")
    assert (x.generation, x.fingerprint, x.mined_at) == ("g2", "0" * 16, NOW)
    assert (y.rank, y.skipped, y.source, y.difficulty) == (3, False, "dense", "easy")
    assert found.refused == {"positive": 1}


def test_the_weakest_positive_measures():
    retrieved = answer(hit("best", 0.9), hit("x", 0.5), scores={"best": 0.9, "other": 0.5})
    assert retrieved.weakest == 0.5
    assert mine("q", PLAN, retrieved, rules=RULES, now=NOW).refused == {"positive": 1, "too_close": 1}


def test_nothing_is_shown_to_a_cross_encoder_without_a_positive_that_has_a_score():
    assert hits_to_cross_score("q", PLAN, answer(hit("x", 0.1)), rules=RULES) == []


def test_so_many_are_shown_to_a_cross_encoder():
    hits = [hit("best", 0.9), *(hit(f"p{number:02}", 0.5 - number / 100) for number in range(40))]
    shown = hits_to_cross_score("q", PLAN, answer(*hits), rules=replace(RULES, number=3))
    assert [it.product_id for it in shown] == [f"p{number:02}" for number in range(3 * CROSS_SCORED)]


@pytest.mark.parametrize(("score", "is_refused"), [(0.5, True), (0.499, False)])
def test_a_cross_encoder_refuses_from_the_veto_on_and_what_it_was_not_shown(score, is_refused):
    retrieved = answer(hit("best", 0.9), hit("x", 0.3), hit("y", 0.2), cross_scores={"x": score})
    mined = mine("q", PLAN, retrieved, rules=replace(RULES, veto=0.5), now=NOW)
    assert [it.product_id for it in mined.negatives] == ([] if is_refused else ["x"])
    assert mined.refused["veto"] == (2 if is_refused else 1)


@pytest.mark.parametrize("fingerprints", [("0" * 16, "1" * 16)])
def test_another_model_draws_others(fingerprints):
    hits = [hit("best", 0.9), *(hit(f"p{number}", 0.5 - number / 100) for number in range(30))]
    rules = replace(RULES, method="random", number=5)
    one, other = (
        mine("q", PLAN, answer(*hits, fingerprint=name), rules=rules, now=NOW) for name in fingerprints
    )
    assert {it.product_id for it in one.negatives} != {it.product_id for it in other.negatives}


def test_rules_that_differ_in_anything_have_another_name():
    changed = [replace(RULES, depth=7), replace(RULES, objective=frozenset({"click"})), RULES]
    assert len({rules.name for rules in changed}) == 3
    assert "objective=['click']" in changed[1].name


@given(st.floats(-1, 1), st.floats(0.1, 1))
def test_the_threshold_is_never_above_the_weakest_positive(weakest, margin):
    threshold = replace(RULES, margin=margin).threshold(weakest)
    assert threshold <= weakest
    assert replace(RULES, margin=1.0).threshold(weakest) == weakest


def test_evidence_counts_the_objective_and_rounds():
    judgement = Judgement(
        query="q",
        product_id="a",
        window_start=NOW.date(),
        window_end=NOW.date(),
        impressions=9,
        shoppers=2,
        actions={
            "click": ActionStatistics(count=3, expected=1.24),
            "purchase": ActionStatistics(count=1, expected=0.11),
            "return": ActionStatistics(count=4, expected=5.0),
        },
        value=2,
        grade=2.449,
        updated_at=NOW,
    )
    evidence = RelevanceEvidence.of(judgement, frozenset({"click", "purchase"}))
    assert evidence == RelevanceEvidence(8, 4, 1.4, 2.45, NOW, NOW.date(), 9)
    assert evidence.pack() == f"8 4 1.4 2.45 {milliseconds(NOW)} {NOW.date().toordinal()} 9"


@pytest.mark.parametrize(
    ("news", "of", "hours", "is_due"),
    [
        (100, 1000, 1, True),
        (99, 1000, 1, False),
        (10, 40, 1, True),
        (9, 40, 1, False),
        (1, 0, 1, True),
        (0, 0, 1, False),
        (-5, 40, 1, False),
        (1000, 1000, 0.99, False),
    ],
)
def test_all_queries_are_mined_again_when_much_was_written_and_long_ago(news, of, hours, is_due):
    policy = RefreshPolicy(records=100, every=timedelta(hours=1))
    assert policy.is_due(news, of=of, age=timedelta(hours=hours)) is is_due
    assert not RefreshPolicy(records=0).is_due(news, of=of, age=timedelta(days=9))


@pytest.mark.parametrize("action", ["click", "add_to_cart", "favourite", "share", "store_visit", "purchase"])
def test_by_default_every_action_that_shows_interest_makes_a_positive(action):
    assert action in MiningRules().objective
    assert "view" not in MiningRules().objective


def shown(actions, expected, impressions=100):
    return RelevanceEvidence(
        actions=actions,
        objective_actions=actions,
        expected=expected,
        grade=2.5 if actions > expected else 0.5,
        impressions=impressions,
    )


def test_what_shoppers_pass_on_their_way_to_a_product_below_is_a_negative_however_close():
    rows = {"top": shown(1, 12.0), "middle": shown(9, 8.0), "low": shown(6, 4.0)}
    plan = plan_mining(rows, RULES)
    assert (plan.positives, plan.passed, plan.engaged) == (("low", "middle"), {"top"}, {"middle", "low"})
    judge = Filter(plan, RULES, weakest=0.5, positives=())
    assert judge.refuse(NegativeCandidate(hit("top", 0.6), 1, "dense")) is None
    found = answer(hit("low", 0.5), hit("middle", 0.6), hit("top", 0.7), scores={"low": 0.5, "middle": 0.6})
    [negative] = mine("q", plan, found, rules=RULES, now=NOW).negatives
    assert (negative.product_id, negative.skipped, negative.difficulty) == ("top", True, "hard")


@pytest.mark.parametrize(
    "rows",
    [
        {"top": shown(9, 6.0), "low": shown(0, 5.0)},  # nothing stands below
        {"top": shown(9, 6.0), "middle": shown(0, 5.0), "low": shown(1, 4.0)},  # they stopped above
        {"top": shown(2, 6.0), "low": shown(9, 5.0)},  # it got a third of what was expected
        {"top": shown(0, 6.0), "low": shown(2, 1.0)},  # too little was expected of what stands below
        {"top": shown(0, 3.9), "low": shown(9, 3.8)},  # it was hardly looked at
    ],
)
def test_what_shoppers_may_not_have_passed_is_not_taken_for_passed(rows):
    assert passed_by(rows, RULES) == frozenset()


def test_reasons_are_told_by_names_that_dashboards_know():
    assert {reason.value for reason in Reason} == {
        "positive",
        "engaged",
        "relevant",
        "co_positive",
        "same_code",
        "duplicate",
        "unscored",
        "too_close",
        "likely",
        "veto",
    }
