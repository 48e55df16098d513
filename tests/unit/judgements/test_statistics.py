from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma

from services.judgements.domain.counts import PairCounts, Totals
from services.judgements.domain.statistics import (
    Z95,
    Objective,
    estimate,
    estimates,
    gamma_quantile,
    grade,
    integer_grade,
    position_rates,
    value,
)

TOTALS = Totals(
    impressions=Counter({1: 1000, 2: 1000, 3: 500}),
    actions={"click": Counter({1: 300, 2: 100, 3: 10}), "purchase": Counter({1: 10, 0: 25})},
)
numbers = st.integers(0, 10_000)


def test_expected_actions_of_all_products_are_the_actions_that_happened():
    rates = position_rates(TOTALS)
    for action, counter in TOTALS.actions.items():
        expected = sum(rates[action][position] * number for position, number in TOTALS.impressions.items())
        assert expected == pytest.approx(counter.total())


def test_the_same_clicks_are_worth_more_at_a_worse_position():
    rates, objective = position_rates(TOTALS), Objective()
    top = estimates(PairCounts({1: 100}, {"click": 20}), rates, objective)["click"]
    low = estimates(PairCounts({3: 100}, {"click": 20}), rates, objective)["click"]
    assert top.rate < 1 < low.rate


def test_without_evidence_the_rate_is_that_of_the_average_product():
    assert estimate(0, 0.0, 10.0).rate == 1.0
    assert value({}, Objective()) == 1.0


@given(count=numbers, expected=st.floats(0, 1e6), prior=st.floats(1, 100))
def test_the_interval_holds_the_rate(count, expected, prior):
    it = estimate(count, expected, prior)
    assert 0 <= it.low <= it.rate <= it.high


@given(count=numbers, expected=st.floats(0, 1e6))
def test_more_actions_are_a_higher_rate_and_more_expected_a_lower_one(count, expected):
    assert estimate(count + 1, expected, 10).rate > estimate(count, expected, 10).rate
    assert estimate(count, expected + 1, 10).rate < estimate(count, expected, 10).rate


@pytest.mark.parametrize("shape", [5.0, 10.0, 37.0, 1000.0])
def test_quantiles_are_those_of_the_gamma_distribution(shape):
    for z, share in ((-Z95, 0.025), (0.0, 0.5), (Z95, 0.975)):
        assert gamma_quantile(shape, z) == pytest.approx(gamma(shape).ppf(share), rel=0.01)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_grade_is_bounded_and_rises_with_the_value(one, other):
    low, high = sorted((one, other))
    assert 0 <= grade(low) <= grade(high) <= 3
    assert integer_grade(grade(low)) in {0, 1, 2, 3}


def test_the_average_product_has_the_middle_grade():
    assert [round(grade(worth), 2) for worth in (0, 0.5, 1, 2)] == [0, 0.6, 1.5, 2.4]


def test_the_objective_decides_which_action_matters():
    rates = position_rates(TOTALS)
    clicked = PairCounts({1: 100}, {"click": 90})
    bought = PairCounts({1: 100}, {"click": 30, "purchase": 12})
    for objective, better, worse in (
        (Objective(weights={"click": 1}), clicked, bought),
        (Objective(weights={"purchase": 1}), bought, clicked),
    ):
        assert value(estimates(better, rates, objective), objective) > value(
            estimates(worse, rates, objective), objective
        )
