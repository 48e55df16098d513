"""Admitted, refused, undecided: in words, and as laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.trainer.evaluation.comparison import AnswerComparison
from services.trainer.evaluation.domain.figures import GENERAL, OPTIMISTIC, PESSIMISTIC, MetricComparison
from services.trainer.evaluation.domain.statistics import paired
from services.trainer.evaluation.domain.verdict import AdmissionTerms, SecondOpinion, decide
from services.trainer.evaluation.sets import Answers, EvaluationSet
from shared.retrieval import quality
from shared.retrieval.quality import BPREF, CONDENSED
from shared.statistics.power import power

TERMS = AdmissionTerms()
ORDER = ("refused", "undecided", "admitted")


def compared(measure=CONDENSED, evaluation_set="held_out", difference=0.05, wide=0.03, live=0.6, **other):
    return MetricComparison(
        evaluation_set=evaluation_set,
        measure=measure,
        live=live,
        candidate=live + difference,
        low=difference - wide,
        high=difference + wide,
        **{"code": "384 fp32", "queries": 100, "shown": (0.98, 0.95), **other},
    )


def evidence(condensed=0.05, bpref=0.05, pessimistic=0.04, optimistic=0.06, **other):
    differences = {CONDENSED: condensed, BPREF: bpref, PESSIMISTIC: pessimistic, OPTIMISTIC: optimistic}
    return [compared(measure, difference=value, **other) for measure, value in differences.items()]


SAME = compared(evaluation_set="novel_query", difference=0.0)


def test_better_by_every_reading_and_nearly_all_shown_is_admitted():
    verdict = decide([*evidence(), SAME], TERMS)
    assert (verdict.answer, verdict.trial_sessions) == ("admitted", None)
    assert verdict.reasons[0] == (
        "better by 8.3% for 100 held-out queries: condensed nDCG@10 0.6000 -> 0.6500 (+0.0500, 95 % +0.0200 "
        "to +0.0800); and by +0.0400 at least, whatever is true of what nobody graded (5% of its first pages "
        "nobody was ever shown); next: roll it out"
    )
    assert verdict.reasons[1].startswith(
        "not worse by more than 0.02: condensed nDCG@10 on novel_query: 0.6000"
    )


@pytest.mark.parametrize(
    ("comparisons", "reason"),
    [
        ([*evidence(shown=(0.98, 0.76)), SAME], "shoppers were shown 98% of the live model's first pages"),
        ([*evidence(pessimistic=0.03), SAME], "not better if all that nobody graded is as bad for it"),
        ([*evidence(condensed=-0.03), SAME], "worse by more than 0.02: condensed nDCG@10 on held_out"),
        (
            [*evidence(), compared(evaluation_set="novel_query", difference=-0.03)],
            "worse by more than 0.02: condensed nDCG@10 on novel_query",
        ),
        (
            [*evidence(), compared("nDCG@10", GENERAL, difference=-0.045)],
            "worse by more than 0.02: nDCG@10 on general",
        ),
        ([*evidence(queries=19), SAME], "too few judged queries on held_out, 20 are wanted"),
        (evidence()[:2], "too few queries that nothing was learned of, 20 are wanted"),
        ([], "too few judged queries on held_out"),
    ],
)
def test_what_judgements_cannot_tell_is_undecided_with_its_reason_and_the_size_of_a_trial(
    comparisons, reason
):
    verdict = decide(comparisons, TERMS)
    assert verdict.answer == "undecided"
    assert any(it.startswith(reason) for it in verdict.reasons[1:])
    assert verdict.trial_sessions is not None
    assert (
        f"next: a trial, which some {verdict.trial_sessions:,} interleaved sessions decide"
        in (verdict.reasons[0])
    )


@pytest.mark.parametrize(
    ("comparisons", "reason"),
    [
        (evidence(-0.05, -0.04, -0.09, -0.04), "worse for 100 held-out queries, even if all"),
        (evidence(-0.09, -0.04, -0.5, 0.4), "worse by 15.0% for 100 held-out queries on all that shoppers"),
        ([*evidence(), compared("nDCG@10", GENERAL, difference=-0.06)], "forgets what is not of this shop"),
    ],
)
def test_what_is_worse_by_every_honest_reading_or_forgets_is_refused(comparisons, reason):
    verdict = decide(comparisons, TERMS)
    assert (verdict.answer, verdict.trial_sessions) == ("refused", None)
    assert verdict.reasons[0].startswith(reason)
    assert verdict.reasons[0].endswith("; the live model stays")


@pytest.mark.parametrize(
    "comparisons",
    [
        evidence(-0.05, -0.04, -0.09, -0.02),
        evidence(-0.05, 0.0, -0.09, -0.04),
        evidence(-0.05, -0.04, -0.5, 0.4),
        evidence(-0.09, -0.02, -0.5, 0.4),
    ],
)
def test_one_reading_that_is_not_worse_beyond_doubt_leaves_it_undecided(comparisons):
    assert decide(comparisons, TERMS).answer == "undecided"


def test_what_is_broken_is_refused_whatever_its_figures_are():
    verdict = decide(evidence(), TERMS, faults=["broken: all alike", "leaks: one pair"])
    assert verdict.answer == "refused"
    assert verdict.reasons[:2] == ("broken: all alike; the live model stays", "leaks: one pair")


def test_the_better_it_looks_the_fewer_sessions_a_trial_needs():
    unclear = {"pessimistic": -0.2, "optimistic": 0.4}
    sessions = [
        decide(evidence(condensed, **unclear), TERMS).trial_sessions for condensed in (-0.01, 0.006, 0.06)
    ]
    assert sessions[0] == sessions[1], "less than 2 % is no reason for a trial"
    for size, gain in zip(sessions[1:], (0.02, 0.1), strict=True):
        assert 0.79 < power(gain, size) < 0.86
        assert f"{size}".strip("0") == f"{size}"[:2].strip("0"), "two digits"


def test_a_second_opinion_refuses_or_sizes_a_trial():
    unclear = evidence(pessimistic=-0.2)
    doubt = SecondOpinion(answer="undecided", words="probably better", effect=0.03)
    verdict = decide(unclear, TERMS, opinion=doubt)
    assert verdict.answer == "undecided"
    assert verdict.trial_sessions is not None
    assert 0.79 < power(0.03, verdict.trial_sessions) < 0.86
    assert "probably better" in verdict.reasons
    worse = SecondOpinion(answer="refused", words="what it finds is wrong")
    assert decide(unclear, TERMS, opinion=worse).reasons[0].startswith("what it finds is wrong; the live")


SHARE = st.floats(0, 1)
CHANGE = st.floats(-0.2, 0.2)


@st.composite
def comparisons(draw):
    deciding = draw(st.booleans())
    name = "held_out" if deciding else draw(st.sampled_from(["novel_query", GENERAL, "zero_shot"]))
    return compared(
        draw(st.sampled_from([CONDENSED, BPREF, PESSIMISTIC, OPTIMISTIC, "nDCG@10"])),
        name,
        draw(CHANGE),
        draw(st.floats(0, 0.1)),
        part=draw(st.sampled_from(["", "", "tail"])),
        queries=draw(st.integers(0, 60)),
        shown=(draw(SHARE), draw(SHARE)),
    )


MANY = st.lists(comparisons(), max_size=12)
OPINIONS = st.builds(
    SecondOpinion,
    answer=st.sampled_from(["refused", "undecided"]),
    words=st.just("says so"),
    effect=st.none() | CHANGE,
)


@given(MANY, OPINIONS)
def test_no_second_opinion_ever_admits(them, opinion):
    alone, both = decide(them, TERMS), decide(them, TERMS, opinion=opinion)
    assert ORDER.index(both.answer) <= ORDER.index(alone.answer)
    assert both.answer != "admitted"


@given(MANY)
def test_nothing_is_admitted_that_was_shown_too_little_or_may_be_no_better(them):
    verdict = decide(them, TERMS)
    heads = [it for it in them if it.measure == PESSIMISTIC and not it.part and it.queries >= TERMS.least]
    pessimistic = next((it for it in heads if it.evaluation_set == "held_out"), None)
    if verdict.answer == "admitted":
        assert pessimistic is not None
        assert min(pessimistic.shown) >= 0.9
        assert pessimistic.low > 0
    assert (verdict.trial_sessions is not None) is (verdict.answer == "undecided")
    assert verdict.reasons


@given(MANY, st.floats(0, 0.3))
def test_a_candidate_whose_every_figure_is_better_is_judged_no_worse(them, more):
    better = [
        it.model_copy(update={"candidate": it.candidate + more, "low": it.low + more, "high": it.high + more})
        for it in them
    ]
    assert ORDER.index(decide(better, TERMS).answer) >= ORDER.index(decide(them, TERMS).answer)


@given(MANY, st.floats(0, 0.3))
def test_a_first_page_that_was_shown_more_is_judged_no_worse(them, more):
    shown = [it.model_copy(update={"shown": tuple(min(1, one + more) for one in it.shown)}) for it in them]
    assert ORDER.index(decide(shown, TERMS).answer) >= ORDER.index(decide(them, TERMS).answer)


@given(MANY)
def test_slices_never_change_a_verdict(them):
    assert decide(them, TERMS) == decide([it for it in them if not it.part], TERMS)


def test_another_set_may_decide():
    better = evidence(evaluation_set="novel_query")
    assert decide(better, TERMS).answer == "undecided"
    assert decide(better, AdmissionTerms(evaluation_set="novel_query")).answer == "admitted"


@pytest.mark.parametrize("terms", [{"margn": 0.1}, {"margin": -0.1}, {"least": 0}, {"ground": "held_out"}])
def test_terms_that_are_none_are_refused(terms):
    with pytest.raises(ValidationError):
        AdmissionTerms.model_validate(terms)


QUERIES = [f"q{number}" for number in range(40)]
SHOWN = {query: [f"{query}-shown-{place}" for place in range(10)] for query in QUERIES}
NEW = {query: [f"{query}-new-{place}" for place in range(5)] for query in QUERIES}
TRUTH = {
    query: {item: (3, 2, 0)[place % 3] for place, item in enumerate(SHOWN[query])}
    | dict.fromkeys(NEW[query], 3)
    for query in QUERIES
}


def answers(evaluation_set, ranked):
    ordered = {
        query: [it for it in row if it in evaluation_set.grades[query]] for query, row in ranked.items()
    }
    return Answers({query: row[:10] for query, row in ranked.items()}, ranked, ordered)


def test_a_candidate_that_is_better_by_what_nobody_was_shown_is_undecided_and_was_refused_before():
    known = EvaluationSet(
        "held_out", {query: {it: TRUTH[query][it] for it in SHOWN[query]} for query in QUERIES}
    )
    candidate = {query: [*NEW[query], *SHOWN[query]] for query in QUERIES}

    true, unseen_is_wrong = (
        paired(*(quality.values(grades, it, ["nDCG@10"])["nDCG@10"] for it in (SHOWN, candidate)))
        for grades in (TRUTH, known.grades)
    )
    assert true.low > 0.1, "it is better by far"
    assert unseen_is_wrong.high < -0.1, "and it was refused, as worse beyond doubt"

    figures = AnswerComparison(known, answers(known, SHOWN), answers(known, candidate), code="v").figures()
    verdict = decide(list(figures), TERMS)
    assert verdict.answer == "undecided"
    assert "65% of its first pages nobody was ever shown" in verdict.reasons[0]
