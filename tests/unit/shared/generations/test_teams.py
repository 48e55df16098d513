from hypothesis import given
from hypothesis import strategies as st

from shared.generations.teams import telling

rankings = st.permutations(range(8)).flatmap(lambda row: st.integers(0, 8).map(lambda n: row[:n]))
coins = st.lists(st.booleans(), min_size=16, max_size=16)


def drafted(live, candidate, coins):
    """Team draft as the paper has it, and which picks are the same whichever way the coin falls."""
    shown, teams, shared = [], "", []
    for number in range(16):
        first = "A" if coins[number // 2] else "B"
        turn = first if number % 2 == 0 else "AB"[first == "A"]
        following = {
            "A": next((product for product in live if product not in shown), None),
            "B": next((product for product in candidate if product not in shown), None),
        }
        if following[turn] is None:
            break
        shown.append(following[turn])
        teams += turn
        both = following["A"] == following["B"]
        shared.append(both and (number % 2 == 0 or shared[-1]))
    return shown, teams, shared


def ranks(shown, live, candidate):
    def rank(product, ranked):
        return ranked.index(product) + 1 if product in ranked else 0

    return [(rank(product, live), rank(product, candidate)) for product in shown]


@given(rankings, rankings, coins)
def test_a_round_that_begins_with_what_both_would_pick_tells_nothing_of_it(live, candidate, coins):
    shown, teams, shared = drafted(live, candidate, coins)
    expected = "".join("-" if both else team for team, both in zip(teams, shared, strict=True))
    assert telling(teams, ranks(shown, live, candidate)) == expected


@given(rankings, coins)
def test_equal_rankings_have_nothing_to_tell(ranking, coins):
    shown, teams, _ = drafted(ranking, ranking, coins)
    assert set(telling(teams, ranks(shown, ranking, ranking))) <= {"-"}


@given(rankings, rankings)
def test_each_team_stands_at_each_place_as_often_as_the_other_over_all_coins(live, candidate):
    rounds = 3
    balance = [0] * 16
    for bits in range(2**rounds):
        coins = [bool(bits >> number & 1) for number in range(rounds)] + [True] * 13
        shown, teams, _ = drafted(live, candidate, coins)
        told_apart = telling(teams, ranks(shown, live, candidate))
        for place, team in enumerate(told_apart[: 2 * rounds]):
            balance[place] += {"A": -1, "B": 1, "-": 0}[team]
    short = min(len(live), len(candidate)) < 2 * rounds
    assert short or balance == [0] * 16
