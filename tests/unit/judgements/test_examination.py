"""The fit on shops whose shoppers are known: it finds how they look, whatever the ranking does."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.judgements.domain.counts import PairCounts, Totals
from services.judgements.domain.examination import ExaminationEvidence, fit, fit_looks, fit_trend
from services.judgements.domain.expectations import AttractionPrior, Expectations, share_of

FALLING = [1.0, 0.55, 0.4, 0.3, 0.25]
STEP = [1.0, 1.0, 0.5, 0.5, 0.15]
GROWING = [0.4, 0.6, 0.8, 0.9, 1.0]
PRIOR = 2.0


def shop(looks, *, seed, searches=3000, jitter=1.0, better_first=1.0, unknown=0.0):
    """Return pairs as shoppers leave them behind: eight products compete for the positions of a query."""
    rng = random.Random(seed)
    appeals = [[rng.choice([0.05, 0.2, 0.6]) for _ in range(8)] for _ in range(20)]
    pairs = defaultdict(PairCounts)
    totals = Totals(actions={"click": Counter(), "purchase": Counter()})
    for _ in range(searches):
        query = min(int(rng.expovariate(0.2)), 19)
        scored = sorted(range(8), key=lambda it: -better_first * appeals[query][it] - jitter * rng.random())
        for product in range(8):
            pairs[query, product].searches += 1
        for position, product in enumerate(scored[: len(looks)], 1):
            it = pairs[query, product]
            it.impressions[position] = it.impressions.get(position, 0) + 1
            totals.impressions[position] += 1
            if rng.random() < looks[position - 1] * appeals[query][product]:
                for action in ("click", "purchase")[: 1 + (rng.random() < 0.1)]:
                    it.actions[action] = it.actions.get(action, 0) + 1
                    totals.actions[action][0 if rng.random() < unknown else position] += 1
    return list(pairs.values()), totals


def fitted(pairs, totals):
    evidence = ExaminationEvidence(totals)
    for it in pairs:
        evidence.add(it)
    return fit(evidence, PRIOR)


def relative(looks):
    return pytest.approx([it / looks[0] for it in looks], rel=0.25)


@pytest.mark.parametrize("looks", [FALLING, STEP, GROWING, [1.0] * 5])
@pytest.mark.parametrize("better_first", [0.0, 1.0])
def test_it_finds_how_shoppers_look_although_the_better_products_stand_first(looks, better_first):
    pairs, totals = shop(looks, seed=1, searches=8000, better_first=better_first)
    assert list(fitted(pairs, totals).looks.values()) == relative(looks)


def test_actions_at_unknown_positions_do_not_disturb_it():
    pairs, totals = shop(FALLING, seed=2, searches=8000, unknown=0.4)
    assert list(fitted(pairs, totals).looks.values()) == relative(FALLING)


def test_a_ranking_that_never_varies_is_taken_for_half_the_fall():
    pairs, totals = shop([1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5], seed=3, jitter=0.0, better_first=0.0)
    rates = {at: totals.actions["click"][at] / shown for at, shown in totals.impressions.items()}
    looks = fitted(pairs, totals).looks
    assert rates[5] / rates[1] < 0.8 * looks[5] < 0.8 * looks[1]
    assert (looks[5] / looks[1]) ** 2 == pytest.approx(rates[5] / rates[1], rel=0.4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), unknown=st.sampled_from([0.0, 0.3]))
def test_expected_of_all_products_together_is_what_happened(seed, unknown):
    pairs, totals = shop(FALLING, seed=seed, searches=100, unknown=unknown)
    found = fitted(pairs, totals)
    looked = sum(found.looked(it.impressions) for it in pairs)
    for action, rate in found.rates.items():
        assert rate * looked == pytest.approx(sum(it.actions.get(action, 0) for it in pairs))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), rng=st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(seed, rng):
    pairs, totals = shop(FALLING, seed=seed, searches=100)
    shuffled = [*pairs]
    rng.shuffle(shuffled)
    assert fitted(pairs, totals).close_to(fitted(shuffled, totals), 1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_ten_times_the_same_shop_is_looked_at_alike(seed):
    pairs, totals = shop(FALLING, seed=seed, searches=1000)
    tenfold = Totals(
        Counter({at: 10 * number for at, number in totals.impressions.items()}),
        {name: Counter({at: 10 * it for at, it in by.items()}) for name, by in totals.actions.items()},
    )
    once, again = fitted(pairs, totals), fitted(pairs * 10, tenfold)
    assert list(again.looks.values()) == pytest.approx(list(once.looks.values()), rel=0.2)


def test_a_fixed_point_has_been_reached():
    pairs, totals = shop(FALLING, seed=5)
    evidence = ExaminationEvidence(totals)
    for it in pairs:
        evidence.add(it)
    shown = evidence.shown()
    placed = np.array([float(totals.actions["click"][at]) for at in shown.positions])
    clicks = evidence.actions()["click"]
    looks = fit_looks(shown, placed, clicks)
    at_each = looks * shown.attracted(clicks / shown.looked(looks))
    assert at_each == pytest.approx(placed, rel=0.1)


def test_a_product_that_is_shown_more_is_expected_to_be_better_when_the_ranking_is_good():
    good = fitted(*shop(FALLING, seed=6, jitter=0.5, better_first=1.0)).trends["click"]
    blind = fitted(*shop(FALLING, seed=6, jitter=0.5, better_first=0.0)).trends["click"]
    assert good.at(1.0) > 1 > good.at(0.05)
    assert abs(blind.slope) < 0.1 < good.slope


@settings(max_examples=50, deadline=None)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 1000), st.floats(1e-6, 1e4), st.floats(1e-4, 1)), min_size=1)
)
def test_a_trend_is_bounded_whatever_it_is_fitted_to(numbers):
    counts, expected, shares = (np.array(it, dtype=float) for it in zip(*numbers, strict=True))
    trend = fit_trend(counts, expected, shares=shares, prior=PRIOR)
    assert all(0 < trend.at(share) < 1e11 for share in (1e-4, 1.0))


def test_nothing_shown_and_nothing_done_are_no_trouble():
    assert fit(ExaminationEvidence(), PRIOR) == Expectations(version=1)
    shown = fitted([PairCounts({1: 3, 2: 1}, searches=3)], Totals(Counter({1: 3, 2: 1})))
    assert (shown.looks, shown.rates) == ({1: 1.0, 2: 1.0}, {})
    racing = fitted([PairCounts({1: 3, 2: 1}, searches=3)], Totals(actions={"click": Counter({1: 1})}))
    assert (racing.looks, racing.rates) == ({1: 1.0, 2: 1.0}, {})
    acted = fitted([PairCounts({}, {"click": 2})], Totals(actions={"click": Counter({0: 2})}))
    assert acted.rates == {}


def test_what_is_not_shown_at_a_known_position_is_looked_at_like_an_average_one():
    totals = Totals(Counter({0: 100, 1: 100, 2: 100}), {"click": Counter({0: 30, 1: 40, 2: 20})})
    looks = fitted([PairCounts({0: 100, 1: 100, 2: 100}, {"click": 90})], totals).looks
    assert looks[1] > looks[0] > looks[2]


def test_expectations_survive_being_stored():
    found = fitted(*shop(FALLING, seed=7, searches=300))
    assert Expectations.decode(found.encode()) == found


def test_figures_are_close_up_to_the_tolerance_and_only_when_they_are_of_the_same_things():
    one = Expectations(
        looks={1: 1.0, 2: 0.5}, rates={"click": 0.1}, trends={"click": AttractionPrior(0.0, 0.2)}
    )
    near = Expectations(
        looks={1: 1.0, 2: 0.51}, rates={"click": 0.104}, trends={"click": AttractionPrior(0.01, 0.2)}
    )
    assert one.close_to(near, 0.05)
    assert not one.close_to(near, 0.01)
    assert not one.close_to(Expectations(looks={1: 1.0}, rates=one.rates, trends=one.trends), 0.05)


def test_a_share_is_at_most_everything_and_never_nothing():
    assert share_of(5.0, 10) == 0.5
    assert share_of(11.0, 10) == share_of(3.0, 0) == 1.0
    assert share_of(0.0, 10) > 0


def test_a_position_that_no_fit_has_seen_counts_as_the_worst_one():
    it = Expectations(looks={1: 1.0, 2: 0.5})
    assert it.looked({1: 1, 7: 2}) == 2.0
