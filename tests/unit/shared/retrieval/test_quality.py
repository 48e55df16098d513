"""Retrieval metrics: their definitions, and what holds of them whatever is ranked."""

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.retrieval.quality import (
    BPREF,
    CONDENSED,
    DEPTH,
    FAIR,
    MEASURES,
    Z95,
    condensed,
    fair_values,
    figure,
    figures,
    shown_share,
    values,
    whole_grade,
)

products = st.sampled_from([f"P-{number}" for number in range(12)])
grades = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3"]), st.dictionaries(products, st.integers(0, 3), min_size=1), min_size=1
)
rankings = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.lists(products, unique=True))
SOME = hypothesis_settings(max_examples=30)


@SOME
@given(grades, rankings)
def test_every_measure_of_every_graded_query_lies_between_nothing_and_one(graded, ranked):
    measured = values(graded, ranked)
    assert measured.keys() == MEASURES.keys()
    for row in measured.values():
        assert row.keys() == graded.keys()
        assert all(0 <= value <= 1 for value in row.values())


@SOME
@given(grades)
def test_the_ideal_order_is_perfect_where_something_is_relevant(graded):
    ideal = {query: sorted(row, key=row.__getitem__, reverse=True) for query, row in graded.items()}
    measured = values(graded, ideal, ["nDCG@10", "RR@10"])
    for query, row in graded.items():
        if len(row) <= 10 and max(row.values()) >= 1:
            assert measured["nDCG@10"][query] == pytest.approx(1)
        assert measured["RR@10"][query] == (max(row.values()) >= 2)


@SOME
@given(grades, rankings)
def test_no_order_is_better_than_the_ideal_one(graded, ranked):
    ideal = {query: sorted(row, key=row.__getitem__, reverse=True) for query, row in graded.items()}
    best, measured = values(graded, ideal), values(graded, ranked)
    for name in ("nDCG@10", "R@10", "RR@10", "AP@50"):
        assert all(measured[name][query] <= best[name][query] + 1e-9 for query in graded)


@SOME
@given(grades, rankings)
def test_an_ungraded_query_changes_no_figure(graded, ranked):
    other = {**ranked, "never graded": ["P-1", "P-2"]}
    assert values(graded, other) == values(graded, ranked)


def test_a_complement_is_worth_a_hundredth_of_the_product_itself_and_is_not_relevant():
    graded = {"q": {"exact": 3, "substitute": 2, "complement": 1}}
    ndcg = {product: values(graded, {"q": [product]})["nDCG@10"]["q"] for product in graded["q"]}
    assert ndcg["substitute"] == pytest.approx(ndcg["exact"] / 10)
    assert ndcg["complement"] == pytest.approx(ndcg["exact"] / 100)
    reciprocal = {product: values(graded, {"q": [product]})["RR@10"]["q"] for product in graded["q"]}
    assert reciprocal == {"exact": 1, "substitute": 1, "complement": 0}


def test_measures_look_no_deeper_than_they_say():
    graded = {"q": {"P": 3}}
    deep = {"q": [*(f"other-{number}" for number in range(10)), "P"]}
    measured = values(graded, deep)
    assert (measured["R@10"]["q"], measured["nDCG@10"]["q"], measured["RR@10"]["q"]) == (0, 0, 0)
    assert (measured["R@50"]["q"], measured["AP@50"]["q"]) == (1, pytest.approx(1 / 11))
    beyond = {"q": [*(f"other-{number}" for number in range(DEPTH)), "P"]}
    assert values(graded, beyond)["R@50"]["q"] == 0


def test_what_was_judged_is_counted_whatever_its_grade():
    graded = {"q": {"good": 3, "bad": 0}}
    assert values(graded, {"q": ["bad", "good"]})["judged@10"]["q"] == 1
    assert values(graded, {"q": ["bad", "good", "x", "y"]})["judged@10"]["q"] == 0.5


def test_only_the_measures_that_were_asked_for_are_worked_out():
    assert figures({"q": {"P": 3}}, {"q": ["P"]}, ["RR@10"]).keys() == {"RR@10"}


def test_no_answers_at_all_are_zero_of_every_measure():
    assert values({"q": {"P": 3}}, {}) == {name: {"q": 0.0} for name in MEASURES}


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_a_figure_is_the_mean_and_its_normal_half_width(row):
    result = figure(row)
    mean = sum(row) / len(row)
    spread = math.sqrt(sum((value - mean) ** 2 for value in row) / (len(row) - 1))
    assert result.mean == pytest.approx(mean)
    assert result.half_width == pytest.approx(Z95 * spread / math.sqrt(len(row)), abs=1e-9)
    assert result.count == len(row)


def test_of_one_query_or_none_there_is_no_spread():
    assert figure([0.7]) == figure((0.7,))
    assert (figure([0.7]).mean, figure([0.7]).half_width) == (0.7, 0)
    assert (figure([]).mean, figure([]).half_width, figure([]).count) == (0, 0, 0)


def test_figures_agree_with_a_calculation_by_hand():
    grades = {"q1": {"a": 3, "b": 2, "c": 0}, "q2": {"d": 3}}
    ranked = {"q1": ["b", "a", "x"]}  # q2 has no answer
    calculated = figures(grades, ranked)
    ideal = 1 + 0.1 / 1.5849625
    assert calculated["nDCG@10"].mean == pytest.approx((0.1 + 1 / 1.5849625) / ideal / 2, abs=1e-6)
    assert calculated["R@10"].mean == pytest.approx(0.5)
    assert calculated["RR@10"].mean == pytest.approx(0.5)
    assert calculated["nDCG@10"].count == 2
    assert calculated["nDCG@10"].half_width > 0


def test_the_order_that_was_shown_decides():
    grades = {"q": {"a": 3}}
    first = figures(grades, {"q": ["a", "z"]})
    second = figures(grades, {"q": ["z", "a"]})
    assert first["RR@10"].mean == 1
    assert second["RR@10"].mean == 0.5


def test_a_grade_is_the_nearest_whole_one_half_up():
    assert [whole_grade(grade) for grade in (0.0, 0.49, 0.5, 2.4, 2.5, 3.0)] == [0, 0, 1, 2, 3, 3]


@SOME
@given(grades, rankings)
def test_what_is_not_graded_changes_no_fair_figure(graded, ranked):
    padded = {query: [item for it in row for item in (f"new-{it}", it)] for query, row in ranked.items()}
    measured = fair_values(graded, ranked)
    assert measured == fair_values(graded, padded)
    assert measured.keys() == FAIR.keys()
    assert all(0 <= value <= 1 for row in measured.values() for value in row.values())


@SOME
@given(grades, rankings)
def test_when_everything_that_is_ranked_was_graded_condensed_is_plain(graded, ranked):
    known = condensed(graded, ranked)
    plain, fair = values(graded, known)["nDCG@10"], fair_values(graded, ranked)[CONDENSED]
    assert fair == {query: plain[query] for query in fair}
    assert fair.keys() == {query for query, row in graded.items() if len({*row.values()}) > 1}


def test_a_query_whose_products_are_equally_good_tells_nothing_of_an_order():
    graded = {"q1": {"a": 3, "b": 3}, "q2": {"a": 3, "b": 2}, "q3": {"a": 3, "b": 0}}
    measured = fair_values(graded, {query: ["b", "a"] for query in graded})
    assert measured[CONDENSED].keys() == {"q2", "q3"}
    assert measured[BPREF] == {"q3": 0.0}


def test_bpref_counts_what_is_wrong_before_what_is_right():
    graded = {"q": {"good": 3, "fine": 2, "bad": 0, "worse": 1}}
    order = ["good", "bad", "fine", "worse"]
    assert fair_values(graded, {"q": order})[BPREF]["q"] == pytest.approx((1 + 1 / 2) / 2)


@given(st.lists(products, unique=True, max_size=12), st.sets(products))
def test_the_share_of_a_page_that_was_shown_counts_the_first_places_more(page, shown):
    share = shown_share(page, shown)
    discounts = [1 / math.log2(place + 1) for place, _ in enumerate(page[:10], start=1)]
    seen = sum(discount for discount, it in zip(discounts, page, strict=False) if it in shown)
    assert share == pytest.approx(seen / sum(discounts) if page else 1)
    assert shown_share(page, {*page}) == 1
