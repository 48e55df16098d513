"""Rank correlation: the measure that compares estimates of relevance with the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.lab.simulation.truth import agreement, click_rates, spearman

numbers = st.lists(st.integers(0, 6), min_size=3, max_size=30)


@given(left=numbers, right=numbers)
def test_spearman_is_the_one_that_scipy_computes(left, right):
    size = min(len(left), len(right))
    one, two = np.array(left[:size], dtype=float), np.array(right[:size], dtype=float)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        assert spearman(one, two) == 0
    else:
        assert spearman(one, two) == pytest.approx(stats.spearmanr(one, two).statistic)


def test_an_estimate_in_the_order_of_the_truth_agrees_fully():
    truth = {("q", str(number)): number / 10 for number in range(8)}
    result = agreement("squared", truth, {pair: value**2 for pair, value in truth.items()})
    assert (result.pairs, result.queries) == (8, 1)
    assert result.overall == result.within == pytest.approx(1)


def test_pairs_that_only_one_side_knows_are_left_out():
    result = agreement("few", {("q", "a"): 1.0, ("q", "b"): 2.0}, {("q", "b"): 1.0, ("q", "c"): 1.0})
    assert (result.pairs, result.queries, result.within) == (1, 0, 0.0)


def test_the_raw_rate_is_clicks_an_impression():
    rates = click_rates({("q", "a"): {"impression": 4, "click": 1}, ("q", "b"): {"click": 1}})
    assert rates == {("q", "a"): 0.25}
