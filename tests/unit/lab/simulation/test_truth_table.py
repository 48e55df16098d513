"""The truth of a simulation: every impression and action once, shoppers and robots apart."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.simulation.shoppers import ShownProduct
from services.lab.simulation.truth import IMPRESSION, Truth, agreement, click_rates

PRODUCTS = [ShownProduct(f"P{number}", number % 4, 0.1 + number / 20) for number in range(6)]
ACTIONS = ("click", "add_to_cart", "purchase")
VISITS = st.lists(
    st.tuples(
        st.sampled_from(["lamp", "sofa"]),
        st.lists(st.sampled_from(range(6)), unique=True, max_size=6),
        st.lists(st.tuples(st.sampled_from(range(6)), st.sampled_from(ACTIONS)), max_size=5),
        st.booleans(),
    ),
    max_size=12,
)


def told(visits) -> Truth:
    truth = Truth()
    for query, ranking, actions, robot in visits:
        for number in range(6):
            truth.knows(query, PRODUCTS[number])
        truth.saw(query, [PRODUCTS[number] for number in ranking], robot=robot)
        for number, action in actions:
            truth.did(query, PRODUCTS[number].product_id, action, robot=robot)
    return truth


@given(VISITS)
def test_every_impression_and_action_is_counted_once(visits) -> None:
    truth = told(visits)
    totals = truth.totals()
    shoppers = [visit for visit in visits if not visit[3]]
    assert totals[IMPRESSION] == sum(len(ranking) for _, ranking, _, _ in shoppers)
    for action in ACTIONS:
        assert totals[action] == sum(name == action for _, _, done, _ in shoppers for _, name in done)


@given(VISITS)
def test_robots_are_counted_apart_and_nothing_is_lost(visits) -> None:
    truth = told(visits)
    apart = told([(*visit[:3], not visit[3]) for visit in visits])
    assert truth.robots == apart.shoppers
    assert truth.shoppers == apart.robots


@given(VISITS)
def test_the_table_has_a_row_for_each_known_pair_in_order(visits) -> None:
    truth = told(visits)
    rows = truth.table()
    pairs = [(row["query"], row["product_id"]) for row in rows]
    assert pairs == sorted(pairs)
    for row in rows:
        shown = truth.shown(str(row["query"]), str(row["product_id"]))
        assert shown is not None
        assert (row["grade"], row["appeal"]) == (shown.grade, shown.appeal)
        assert row["shoppers"] == dict(truth.shoppers.get((row["query"], row["product_id"]), {}))


@given(VISITS)
def test_the_appeal_is_known_of_every_pair_that_shoppers_met(visits) -> None:
    truth = told(visits)
    assert truth.appeal().keys() == truth.shoppers.keys()


@given(VISITS)
def test_a_click_rate_is_that_of_the_pairs_that_were_shown(visits) -> None:
    truth = told(visits)
    rates = click_rates(truth.shoppers)
    assert set(rates) == {pair for pair, tally in truth.shoppers.items() if tally[IMPRESSION]}
    for pair, rate in rates.items():
        assert rate == truth.shoppers[pair]["click"] / truth.shoppers[pair][IMPRESSION]


def test_a_pair_that_was_never_shown_is_not_known() -> None:
    assert Truth().shown("lamp", "P1") is None
    assert Truth().table() == []
    assert Truth().totals() == Counter()


ESTIMATES = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9).map(str)), st.floats(0, 1), max_size=25
)


@given(ESTIMATES, ESTIMATES)
def test_an_agreement_is_a_correlation_of_what_both_know(truth, estimate) -> None:
    found = agreement("x", truth, estimate, at_least=2)
    assert found.pairs == len(truth.keys() & estimate.keys())
    assert -1.000001 <= found.overall <= 1.000001
    assert -1.000001 <= found.within <= 1.000001
    assert found.queries <= len({query for query, _ in truth.keys() & estimate.keys()})


@given(ESTIMATES)
def test_an_estimate_agrees_with_itself_and_its_opposite_disagrees(truth) -> None:
    same = agreement("x", truth, truth, at_least=2)
    opposite = agreement("x", truth, {pair: -value for pair, value in truth.items()}, at_least=2)
    assert opposite.overall == pytest.approx(-same.overall)
    assert same.overall == pytest.approx(1) or len(set(truth.values())) < 2


def test_a_query_with_many_pairs_weighs_more() -> None:
    truth = {("a", str(n)): float(n) for n in range(9)} | {("b", str(n)): float(n) for n in range(3)}
    estimate = truth | {("b", str(n)): float(-n) for n in range(3)}
    found = agreement("x", truth, estimate, at_least=3)
    assert found.queries == 2
    assert found.within == pytest.approx((9 * 1 + 3 * -1) / 12)
    assert agreement("x", truth, estimate, at_least=5).within == pytest.approx(1)
