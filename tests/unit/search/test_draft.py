"""Team draft: the laws that make it fair, and that make it the same wherever it is drafted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from services.search.domain.draft import COINS, OTHER, coins_of, draft
from shared.generations.teams import telling
from tests.unit.schemas.strategies import ids, short

rankings = st.lists(st.sampled_from("abcdefghij"), unique=True)
coins = st.integers(0, 2**COINS - 1)
sizes = st.integers(0, 12)
HARDLY = 1e-6
"""The probability under which chance is not believed."""


def test_each_round_both_pick_their_best_that_is_left_and_a_coin_says_who_is_first():
    live, candidate = ["a", "b", "c", "d"], ["b", "e", "a", "f"]
    assert draft(live, candidate, 4, coins=0b01) == [("A", "a"), ("B", "b"), ("B", "e"), ("A", "c")]
    assert draft(live, candidate, 4, coins=0b10) == [("B", "b"), ("A", "a"), ("A", "c"), ("B", "e")]


@given(live=rankings, candidate=rankings, k=sizes, coins=coins)
def test_every_product_is_drafted_once_and_none_is_left_out_while_there_is_room(live, candidate, k, coins):
    products = [pick.product_id for pick in draft(live, candidate, k, coins=coins)]
    assert len(products) == len(set(products)) == min(k, len({*live, *candidate}))
    assert set(products) <= {*live, *candidate}


@given(live=rankings, candidate=rankings, k=sizes, coins=coins)
def test_a_team_keeps_the_order_of_its_ranking_and_picks_only_from_it(live, candidate, k, coins):
    picks = draft(live, candidate, k, coins=coins)
    for team, ranking in (("A", live), ("B", candidate)):
        places = [ranking.index(pick.product_id) for pick in picks if pick.team == team]
        assert all(before < after for before, after in pairwise(places))


@given(live=rankings, candidate=rankings, k=sizes, coins=coins)
def test_while_both_have_something_left_each_round_gives_one_place_to_either(live, candidate, k, coins):
    picks = draft(live, candidate, k, coins=coins)
    drafted = set()
    for place, pick in enumerate(picks):
        if set(live) <= drafted or set(candidate) <= drafted:
            break
        before = [earlier.team for earlier in picks[: place + 1]]
        assert abs(before.count("A") - before.count("B")) == (place + 1) % 2
        drafted.add(pick.product_id)


@given(live=rankings, candidate=rankings, k=sizes, more=sizes, coins=coins)
def test_a_further_page_goes_on_with_the_draft(live, candidate, k, more, coins):
    longer = draft(live, candidate, k + more, coins=coins)
    assert longer[:k] == draft(live, candidate, k, coins=coins)
    assert draft(live[: k + more], candidate[: k + more], k + more, coins=coins) == longer


@given(live=rankings, candidate=rankings, k=sizes, coins=coins)
def test_with_sides_and_coins_turned_it_is_the_same_list_for_the_other_teams(live, candidate, k, coins):
    turned = draft(candidate, live, k, coins=~coins)
    assert [(OTHER[team], product) for team, product in turned] == draft(live, candidate, k, coins=coins)


@given(ranking=rankings.filter(len), data=st.data())
def test_of_equal_rankings_every_place_is_as_often_of_either_team(ranking, data):
    k = data.draw(st.integers(1, len(ranking)))
    every = [draft(ranking, ranking, k, coins=throw) for throw in range(2 ** (k // 2 + 1))]
    for place in range(k):
        assert {picks[place].product_id for picks in every} == {ranking[place]}
        assert sum(picks[place].team == "A" for picks in every) * 2 == len(every)


@given(
    live=st.permutations("abcdefgh"),
    candidate=st.permutations("cdefghij"),
    k=st.integers(1, 8),
)
def test_what_tells_two_rankings_apart_stands_at_every_place_as_often_for_either_team(live, candidate, k):
    drafts = []
    for throw in range(2 ** (k // 2 + 1)):
        picks = draft(live[:k], candidate[:k], k, coins=throw)
        ranks = [[_rank(pick.product_id, ranking[:k]) for ranking in (live, candidate)] for pick in picks]
        drafts.append(telling("".join(pick.team for pick in picks), ranks))
    for place in range(k):
        teams = [drafted[place] for drafted in drafts]
        assert teams.count("A") == teams.count("B")


@given(ranking=rankings, k=sizes, coins=coins)
def test_equal_rankings_tell_nothing(ranking, k, coins):
    picks = draft(ranking, ranking, k, coins=coins)
    ranks = [(_rank(pick.product_id, ranking),) * 2 for pick in picks]
    assert set(telling("".join(pick.team for pick in picks), ranks)) <= {"-"}


def _rank(product, ranking):
    return ranking.index(product) + 1 if product in ranking else 0


@given(trial=ids, query_id=short)
def test_the_coins_are_a_function_of_the_ids(trial, query_id):
    assert coins_of(trial, query_id) == coins_of(trial, query_id)
    assert 0 <= coins_of(trial, query_id) < 2**COINS
    assert coins_of(trial, query_id) != coins_of(f"{trial}x", query_id)
    assert coins_of(trial, query_id) != coins_of(trial, f"{query_id}x")


@pytest.mark.parametrize("number", [0, 1, 4, 499])
def test_the_coins_are_fair_in_every_round_and_independent_of_the_round_before(number):
    throws = [coins_of("trial-g2", f"q{query}") for query in range(10_000)]
    heads = [throw >> number & 1 for throw in throws]
    assert binomtest(sum(heads), len(heads), 0.5).pvalue > HARDLY
    alike = [head == throw >> (number + 1) & 1 for head, throw in zip(heads, throws, strict=True)]
    assert binomtest(sum(alike), len(alike), 0.5).pvalue > HARDLY
