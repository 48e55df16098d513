from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma

from schemas.judgements import Judgement
from services.judgements.domain.counts import PairCounts, QueryProduct
from services.judgements.domain.expectations import AttractionPrior, Expectations
from services.judgements.domain.judgement import ScoringContext, follows, judge
from services.judgements.domain.statistics import (
    BusinessObjective,
    estimate,
    estimates,
    grade,
    integer_grade,
    interval,
    value,
)

EXPECTED = Expectations(
    looks={1: 1.0, 2: 0.5, 3: 0.1},
    rates={"click": 0.3, "purchase": 0.03},
    trends={"click": AttractionPrior(0.2, 0.5), "purchase": AttractionPrior(0.4, 1.0)},
)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROUNDING = 1e-6
numbers = st.integers(0, 10_000)


def test_the_same_clicks_are_worth_more_at_a_worse_position():
    objective = BusinessObjective()
    top = estimates(PairCounts({1: 100}, {"click": 20}), EXPECTED, objective)["click"]
    low = estimates(PairCounts({3: 100}, {"click": 20}), EXPECTED, objective)["click"]
    assert top.rate < 1 < low.rate


def test_without_expectations_the_rate_is_that_of_the_average_product():
    assert estimate(0, 0.0, prior=1.0, weight=2.0).rate == 1.0
    assert estimates(PairCounts({1: 5}, searches=5), Expectations(), BusinessObjective()) == {}
    assert value({}, BusinessObjective()) == 1.0


def test_without_evidence_the_rate_is_what_the_ranking_says():
    seldom, often = (
        estimates(PairCounts({3: number}, searches=100), EXPECTED, BusinessObjective())["click"]
        for number in (1, 10)
    )
    assert seldom.expected < often.expected < 1
    assert seldom.rate == pytest.approx(seldom.prior, abs=0.05)
    assert seldom.prior < often.prior < EXPECTED.trends["click"].at(1.0)


@given(count=numbers, expected=st.floats(0, 1e6), mean=st.floats(0, 10), prior=st.floats(1, 100))
def test_the_interval_holds_the_rate(count, expected, mean, prior):
    it = estimate(count, expected, prior=mean, weight=prior)
    assert 0 <= it.low <= it.rate <= it.high


@given(count=numbers, expected=st.floats(0, 1000), prior=st.floats(0.1, 10))
def test_more_actions_are_a_higher_rate_and_more_expected_a_lower_one(count, expected, prior):
    def rate(more, looked_at):
        return estimate(count + more, expected + looked_at, prior=prior, weight=2.0).rate

    assert rate(1, 0) > rate(0, 0) >= rate(0, 1)
    fall = (2 * prior + count) / (2 + expected) - (2 * prior + count) / (3 + expected)
    assert rate(0, 0) - rate(0, 1) == pytest.approx(fall, abs=ROUNDING * (20 + count))


@pytest.mark.parametrize("shape", [0.1, 0.4, 1.0, 2.0, 3.0, 5.0, 10.0, 37.0, 1000.0])
def test_an_interval_leaves_out_a_fortieth_on_each_side(shape):
    low, high = interval(shape)
    assert gamma(shape).cdf(low) == pytest.approx(0.025, rel=1e-9)
    assert gamma(shape).sf(high) == pytest.approx(0.025, rel=1e-9)


def test_one_action_has_the_lower_bound_of_the_gamma_distribution():
    once = estimate(1, 1.0, prior=0.0, weight=1e-9)
    assert once.low == pytest.approx(0.025318, abs=1e-6)  # -log(0.975): one Poisson event


@pytest.mark.parametrize("shape", [0.0, 1e-9, 0.001, 0.004])
def test_an_interval_holds_the_mean_also_where_nearly_all_is_at_zero(shape):
    low, high = interval(shape)
    assert low <= shape <= high


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_grade_is_bounded_and_rises_with_the_value(one, other):
    low, high = sorted((one, other))
    assert 0 <= grade(low) <= grade(high) <= 3
    assert integer_grade(grade(low)) in {0, 1, 2, 3}


def test_the_average_product_has_the_middle_grade():
    assert [round(grade(worth), 2) for worth in (0, 0.5, 1, 2)] == [0, 0.6, 1.5, 2.4]


def test_the_objective_decides_which_action_matters():
    clicked = PairCounts({1: 100}, {"click": 90})
    bought = PairCounts({1: 100}, {"click": 30, "purchase": 12})
    for objective, better, worse in (
        (BusinessObjective(weights={"click": 1}), clicked, bought),
        (BusinessObjective(weights={"purchase": 1}), bought, clicked),
    ):
        assert value(estimates(better, EXPECTED, objective), objective) > value(
            estimates(worse, EXPECTED, objective), objective
        )


@given(
    impressions=st.dictionaries(st.integers(0, 5), st.integers(1, 1000), min_size=1),
    actions=st.dictionaries(st.sampled_from(["click", "purchase", "share"]), numbers),
    searches=st.integers(0, 2000),
    tampered=st.sampled_from(["", "rate", "prior", "expected", "low", "high"]),
)
def test_a_judgement_can_be_recomputed_from_itself(impressions, actions, searches, tampered):
    by = ScoringContext(
        expectations=EXPECTED, objective=BusinessObjective(), first=20_000, today=20_029, now=NOON
    )
    told = Judgement.decode(
        judge(QueryProduct("q", "p"), PairCounts(impressions, actions, 1, searches), by).encode()
    )
    assert follows(told, BusinessObjective())
    assert not follows(told.model_copy(update={"value": told.value + 0.01}), BusinessObjective())
    assert not follows(told, BusinessObjective(prior=5.0))
    if tampered:
        click = told.actions["click"]
        was = getattr(click, tampered)  # figures are rounded: a hundredth of 300 expected clicks is none
        click = click.model_copy(update={tampered: was + 0.01 + abs(was) / 100})
        assert not follows(
            told.model_copy(update={"actions": {**told.actions, "click": click}}), BusinessObjective()
        )
