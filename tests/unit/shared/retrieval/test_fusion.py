"""Scores of different kinds become comparable, and the order within each kind stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.retrieval.fusion import unit_range, weighted

scores = st.floats(-1e6, 1e6, allow_nan=False).map(lambda score: round(score, 3))
rows = st.lists(st.none() | scores, max_size=12)
pairs = st.lists(st.tuples(st.none() | scores, st.none() | scores), max_size=12)
weights = st.floats(0, 1)


@given(rows)
def test_scaled_scores_lie_between_nothing_and_one_and_absent_ones_have_nothing(row):
    scaled = unit_range(row)
    assert len(scaled) == len(row)
    assert all(0 <= score <= 1 for score in scaled)
    assert all(scaled[index] == 0 for index, score in enumerate(row) if score is None)


@given(rows)
def test_the_order_stays_and_the_best_has_one(row):
    scaled = unit_range(row)
    present = [(score, scaled[index]) for index, score in enumerate(row) if score is not None]
    for one, one_scaled in present:
        for other, other_scaled in present:
            assert (one_scaled <= other_scaled) == (one <= other) or one_scaled == pytest.approx(other_scaled)
    if present and max(present)[0] > 0:
        assert max(present)[1] == 1


@given(rows, st.floats(0.01, 100))
def test_the_unit_of_the_scores_does_not_matter(row, unit):
    in_other_units = [None if score is None else score * unit for score in row]
    assert unit_range(in_other_units) == pytest.approx(unit_range(row), abs=1e-6)


def test_equal_scores_are_all_as_good_as_can_be():
    assert unit_range([0.3, 0.3]) == [1.0, 1.0]
    assert unit_range([0.0, 0.0]) == [1.0, 1.0]


def test_where_some_have_no_score_the_least_is_that_of_having_none():
    assert unit_range([2.0, 1.0]) == [1.0, 0.0]
    assert unit_range([2.0, 1.0, None]) == [1.0, 0.5, 0.0]
    assert unit_range([2.0, -2.0, None]) == [1.0, 0.0, 0.0]


def test_a_lone_bad_score_is_still_better_than_none():
    assert unit_range([-1.0, None]) == [1.0, 0.0]
    assert unit_range([None, None]) == [0.0, 0.0]
    assert unit_range([]) == []


@given(pairs, weights)
def test_a_weighted_score_is_a_mean_of_both(row, weight):
    one, other = [first for first, _ in row], [second for _, second in row]
    fused = weighted(one, other, weight)
    for score, first, second in zip(fused, unit_range(one), unit_range(other), strict=True):
        assert min(first, second) - 1e-9 <= score <= max(first, second) + 1e-9


@given(pairs)
def test_with_all_the_weight_on_one_the_other_does_not_count(row):
    one, other = [first for first, _ in row], [second for _, second in row]
    assert weighted(one, other, 1.0) == unit_range(one)
    assert weighted(one, other, 0.0) == unit_range(other)


@given(pairs, weights)
def test_it_does_not_matter_which_is_called_the_one(row, weight):
    one, other = [first for first, _ in row], [second for _, second in row]
    assert weighted(one, other, weight) == pytest.approx(weighted(other, one, 1 - weight))


def test_another_scale_can_be_given():
    assert weighted([1.0, 0.0], [0.2, 0.4], 0.5, scale=lambda row: [score or 0.0 for score in row]) == [
        0.6,
        0.2,
    ]


def test_lists_of_different_products_are_a_mistake():
    with pytest.raises(ValueError, match="argument 2"):
        weighted([1.0], [1.0, 0.5], 0.5)
