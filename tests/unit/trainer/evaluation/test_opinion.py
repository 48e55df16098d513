"""What a judge says of products that nobody graded: estimated, doubted, and never enough to admit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.evaluation.domain.figures import OPTIMISTIC, PESSIMISTIC, MetricComparison
from services.trainer.evaluation.domain.opinion import (
    GREATEST_EFFECT,
    LEAST,
    FirstPages,
    JudgedGain,
    JudgeError,
    MissingEstimate,
    decide_with,
    worth,
)
from services.trainer.evaluation.domain.verdict import AdmissionTerms, decide
from shared.retrieval import quality
from shared.retrieval.quality import BPREF, CONDENSED

TERMS = AdmissionTerms()
SURE = JudgeError(rate=1.0, bias=0.0, half_width=0.0)
LIVE = [f"old-{place}" for place in range(10)]
NEW = [f"new-{place}" for place in range(10)]
GRADES = {product_id: 3 if place < 5 else 0 for place, product_id in enumerate(LIVE)}


def estimate(likelihood, error=SURE, queries=30, candidate=NEW):
    said = {product_id: likelihood for product_id in candidate if product_id not in GRADES}
    pages = FirstPages(LIVE, candidate, GRADES, said)
    return MissingEstimate.of({f"q{number}": pages for number in range(queries)}, error)


def pairs(queries, *, shown=(0.8, 1.0), hidden=(0.5, 0.3)):
    row = [JudgedGain(*shown, hidden=False), JudgedGain(*hidden, hidden=True)]
    return {f"q{number}": row for number in range(queries)}


def test_the_error_is_that_of_pairs_that_another_ranker_would_have_hidden():
    error = JudgeError.of(pairs(LEAST))
    assert error is not None
    assert error.rate == pytest.approx(1.25), "of what was shown alone"
    assert error.bias == pytest.approx(1.25 * 0.5 - 0.3)
    assert error.half_width == pytest.approx(0)
    assert error.gain(0.4) == pytest.approx(0.5 - error.bias), "the bias is taken out"
    assert (error.gain(0.0), error.gain(9.0)) == (0.0, 1.0)


@pytest.mark.parametrize("too_few", [pairs(LEAST - 1), pairs(LEAST, shown=(0.0, 1.0)), {}])
def test_without_hidden_pairs_or_shown_ones_the_error_is_unknown(too_few):
    assert JudgeError.of(too_few) is None


def test_what_is_graded_keeps_its_grade_as_the_measure_has_it():
    candidate = LIVE[::-1]
    said = estimate(1.0, candidate=candidate)
    by_grades = [
        quality.values({"q": GRADES}, {"q": page}, ["nDCG@10"])["nDCG@10"]["q"] for page in (LIVE, candidate)
    ]
    assert [said.live, said.candidate] == pytest.approx(by_grades)
    assert said.low == pytest.approx(said.high) == pytest.approx(said.difference)


def test_likely_products_make_a_page_better_and_unlikely_ones_worse():
    assert estimate(0.9).difference > 0 > estimate(0.1).difference


@pytest.mark.parametrize(("bias", "gain"), [(0.1, 0.0), (-0.1, 0.2)])
def test_an_error_either_way_widens_both_ends(bias, gain):
    said = estimate(0.1, JudgeError(rate=1.0, bias=bias, half_width=0.05))
    ideal = sum(quality.DISCOUNTS[:5]) + gain * sum(quality.DISCOUNTS[5:])
    widening = 0.15 * sum(quality.DISCOUNTS) / ideal
    assert said.difference - said.low == pytest.approx(widening)
    assert said.high - said.difference == pytest.approx(widening)


def test_only_an_interval_that_is_wholly_worse_refuses():
    worse = estimate(0.0).opinion(TERMS)
    assert worse is not None
    assert worse.answer == "refused"
    doubtful = estimate(0.0, JudgeError(rate=1.0, bias=1.0, half_width=0.0)).opinion(TERMS)
    assert doubtful is not None
    assert doubtful.answer == "undecided"
    assert "it is off by +1.000 of a gain" in doubtful.words
    assert "95 %" in doubtful.words


def test_the_effect_of_a_trial_is_neither_below_nothing_nor_too_good_to_be_true():
    effects = [estimate(likelihood).opinion(TERMS).effect for likelihood in (0.0, 1.0)]
    assert effects == [0.0, GREATEST_EFFECT]


def test_too_few_queries_or_none_say_nothing():
    assert estimate(0.0, queries=TERMS.least - 1).opinion(TERMS) is None
    assert MissingEstimate.of({}, SURE).opinion(TERMS) is None


def test_grades_are_worth_their_gains():
    assert [worth(grade) for grade in range(4)] == [0.0, 0.01, 0.1, 1.0]


def compared(measure, difference, shown):
    return MetricComparison(
        evaluation_set="held_out",
        measure=measure,
        code="hybrid",
        live=0.6,
        candidate=0.6 + difference,
        low=difference - 0.03,
        high=difference + 0.03,
        queries=100,
        shown=(shown, shown),
    )


SAID = st.builds(
    estimate,
    st.floats(0, 1),
    st.builds(JudgeError, rate=st.floats(0, 2), bias=st.floats(-1, 1), half_width=st.floats(0, 1)),
    st.integers(0, 30),
)


@given(SAID, st.lists(st.floats(-0.2, 0.2), min_size=4, max_size=4), st.floats(0.8, 1))
def test_no_estimate_ever_admits_nor_doubts_what_is_proven(said, differences, shown):
    measures = (CONDENSED, BPREF, PESSIMISTIC, OPTIMISTIC)
    them = [
        compared(measure, difference, shown)
        for measure, difference in zip(measures, differences, strict=True)
    ]
    alone, both = decide(them, TERMS), decide_with(said, them, TERMS)
    assert (both.answer == "admitted") is (alone.answer == "admitted")
    assert decide_with(None, them, TERMS) == alone
    if alone.answer == "refused":
        assert both.answer == "refused"
