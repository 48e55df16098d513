"""One shopper in front of one ranking: probabilities, the order of actions, and robots."""

import math
import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.simulation.shoppers import (
    CASCADE,
    DAY,
    DYNAMIC_BAYESIAN,
    SHOPPERS,
    ClickModel,
    ShownProduct,
    ransack,
    shop,
)

MODELS = st.builds(
    ClickModel,
    position_bias=st.floats(0, 3),
    looks=st.lists(st.floats(0, 1), max_size=5).map(tuple),
    taste=st.floats(0, 1),
)
RANKINGS = st.lists(
    st.builds(ShownProduct, st.uuids().map(str), st.integers(0, 3), st.floats(0, 0.95)), max_size=12
)


@given(MODELS, st.integers(1, 200))
def test_a_look_has_a_probability(model: ClickModel, position: int) -> None:
    assert 0 <= model.looked_at(position) <= 1


@given(st.floats(0, 3))
def test_nobody_looks_further_down_more_often(bias: float) -> None:
    looks = [ClickModel(position_bias=bias).looked_at(position) for position in range(1, 30)]
    assert looks == sorted(looks, reverse=True)
    assert looks[0] == 1


def test_looks_that_are_given_count_position_by_position_and_the_last_for_all_below() -> None:
    model = ClickModel(looks=(1.0, 0.5, 0.2))
    assert [model.looked_at(position) for position in (1, 2, 3, 4, 50)] == [1.0, 0.5, 0.2, 0.2, 0.2]


@given(st.integers(0, 3), st.text(max_size=12))
def test_the_appeal_of_a_pair_is_always_the_same_and_a_probability(grade: int, pair: str) -> None:
    model = ClickModel()
    assert model.appeal_of(grade, pair) == model.appeal_of(grade, pair)
    assert 0 < model.appeal_of(grade, pair) <= 0.95


def test_without_taste_the_grade_alone_is_the_appeal() -> None:
    model = ClickModel(taste=0.0)
    assert [model.appeal_of(grade, "any") for grade in range(4)] == pytest.approx(model.appeal)


def test_better_grades_appeal_more_on_average() -> None:
    model = ClickModel()
    means = [sum(model.appeal_of(grade, f"p{n}") for n in range(300)) / 300 for grade in range(4)]
    assert means == sorted(means)


@given(MODELS, RANKINGS, st.integers(0, 2**32))
def test_everything_begins_with_a_click_and_nothing_happens_before_the_query(model, ranking, seed) -> None:
    actions = list(shop(model, ranking, random.Random(seed)))
    shown = {each.product_id: position for position, each in enumerate(ranking, start=1)}
    clicked = set()
    for action in actions:
        assert shown[action.product_id] == action.position
        assert action.delay > timedelta()
        if action.name == "click":
            clicked.add(action.product_id)
        else:
            assert action.product_id in clicked
    assert Counter(action.name for action in actions)["click"] == len(clicked)


@given(RANKINGS, st.integers(0, 2**32))
def test_what_is_bought_was_put_in_the_cart_before(ranking, seed) -> None:
    model = ClickModel(cart=(1.0, 1.0, 1.0, 1.0), purchase=1.0)
    carted = {}
    for action in shop(model, ranking, random.Random(seed)):
        if action.name == "add_to_cart":
            carted[action.product_id] = action.delay
        if action.name == "purchase":
            assert action.delay > carted.pop(action.product_id)
    assert not carted


def test_some_purchases_come_days_later() -> None:
    model = ClickModel(cart=(1.0,) * 4, purchase=1.0, days_later=1.0)
    ranking = [ShownProduct("p", 3, 0.95)]
    actions = [a for seed in range(30) for a in shop(model, ranking, random.Random(seed))]
    bought = [action.delay for action in actions if action.name == "purchase"]
    assert bought
    assert all(DAY < delay < 6 * DAY for delay in bought)


def test_clicks_come_as_often_as_the_model_says() -> None:
    model, ranking = ClickModel(), [ShownProduct(f"p{n}", 3, 0.5) for n in range(5)]
    rng = random.Random(1)
    clicks = Counter(
        action.position for _ in range(4000) for action in shop(model, ranking, rng) if action.name == "click"
    )
    for position in range(1, 6):
        assert clicks[position] / 4000 == pytest.approx(
            model.clicks(ranking[position - 1], position), abs=0.03
        )


@given(RANKINGS, st.integers(0, 2**32))
def test_a_robot_clicks_everything_at_once(ranking, seed) -> None:
    actions = list(ransack(ranking, random.Random(seed)))
    assert [action.product_id for action in actions] == [each.product_id for each in ranking]
    assert {action.name for action in actions} <= {"click"}
    assert all(action.delay < timedelta(seconds=1) for action in actions)


PAGE = [
    ShownProduct(f"p{number}", grade, appeal)
    for number, (grade, appeal) in enumerate([(3, 0.6), (0, 0.03), (2, 0.3), (3, 0.5), (1, 0.1), (3, 0.7)])
]
WALKS = 20_000


def click_rates(model: ClickModel) -> list[float]:
    rng = random.Random(1)
    clicks = Counter(
        action.position for _ in range(WALKS) for action in shop(model, PAGE, rng) if action.name == "click"
    )
    return [clicks[position] / WALKS for position in range(1, len(PAGE) + 1)]


def expected_of_cascade() -> list[float]:
    """Craswell et al. 2008, equation 5: an appeal, and none above it."""
    return [
        shown.appeal * math.prod(1 - above.appeal for above in PAGE[:place])
        for place, shown in enumerate(PAGE)
    ]


def expected_of_dynamic_bayesian(model: ClickModel) -> list[float]:
    """Chapelle and Zhang 2009, section 3: who looks here goes on unless satisfied, with the perseverance."""
    looked_at, clicks = 1.0, []
    for shown in PAGE:
        clicks.append(looked_at * shown.appeal)
        looked_at *= model.perseverance * (1 - shown.appeal * model.satisfaction[shown.grade])
    return clicks


def within_chance(expected: list[float]) -> list[object]:
    return [pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / WALKS)) for rate in expected]


def test_cascade_shoppers_click_as_often_as_the_paper_says() -> None:
    assert click_rates(CASCADE) == within_chance(expected_of_cascade())


@given(st.integers(0, 2**32))
def test_cascade_shoppers_click_once_at_most(seed: int) -> None:
    actions = [action.name for action in shop(CASCADE, PAGE, random.Random(seed))]
    assert actions.count("click") <= 1


def test_dynamic_bayesian_shoppers_click_as_often_as_the_paper_says() -> None:
    assert click_rates(DYNAMIC_BAYESIAN) == within_chance(expected_of_dynamic_bayesian(DYNAMIC_BAYESIAN))


def test_a_dynamic_bayesian_shopper_whom_every_click_satisfies_and_nothing_tires_is_a_cascade_one() -> None:
    model = ClickModel(satisfaction=(1.0, 1.0, 1.0, 1.0), perseverance=1.0)
    assert expected_of_dynamic_bayesian(model) == pytest.approx(expected_of_cascade())


def test_position_based_shoppers_click_as_often_as_look_and_appeal_say() -> None:
    model = SHOPPERS["position-based"]
    expected = [model.clicks(shown, position) for position, shown in enumerate(PAGE, start=1)]
    assert click_rates(model) == within_chance(expected)
