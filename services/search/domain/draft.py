"""Team draft: two rankings become one list, so that what shoppers choose in it says which is better.

Radlinski, Kurup, Joachims: How does clickthrough data reflect retrieval quality? CIKM 2008. In every round
each of the two picks the best product that is not in the list yet, and a fair coin says who goes first.

Where the paper ends a list, at the end of the shorter ranking, this one goes on with the other's products.
A product that both would pick next is a coin's, and says nothing of who is better: its team is as drafted
all the same, and whoever counts knows it by both ranks (`schemas.search.TrialAnswer.ranks`).
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

Team = Literal["A", "B"]
"""The live generation's, the candidate's."""
OTHER: dict[Team, Team] = {"A": "B", "B": "A"}
COINS = 512
"""As many rounds as two of them make `schemas.search_api.MAX_K` places, and some more."""


class Pick(NamedTuple):
    """A product of the list, and whose it is."""

    team: Team
    product_id: str


def draft(live: Sequence[str], candidate: Sequence[str], k: int, *, coins: int) -> list[Pick]:
    """Return the first `k` of the list, at most; bit n of `coins` is set where A goes first in round n.

    The list for a smaller `k` is the beginning of that for a larger one, if the rankings are, too.
    """
    left = {"A": iter(live), "B": iter(candidate)}
    teams: dict[str, Team] = {}
    for place in range(k):
        number, second = divmod(place, 2)
        first: Team = "A" if coins >> number & 1 else "B"
        turn = OTHER[first] if second else first
        for team in (turn, OTHER[turn]):
            product_id = next((product for product in left[team] if product not in teams), None)
            if product_id is not None:
                teams[product_id] = team
                break
        else:
            break
    return [Pick(team, product_id) for product_id, team in teams.items()]


def ranks_of(
    product_ids: Iterable[str], live: Sequence[str], candidate: Sequence[str]
) -> list[tuple[int, int]]:
    """Return each product's rank with the live generation and with the candidate, from 1; 0: it has none."""
    of_live, of_candidate = (
        {product_id: rank for rank, product_id in enumerate(ranking, 1)} for ranking in (live, candidate)
    )
    return [(of_live.get(product_id, 0), of_candidate.get(product_id, 0)) for product_id in product_ids]


def coins_of(trial: str, query_id: str) -> int:
    """Return the coins of a query's draft, 512 of them: the same whenever and wherever it is drafted."""
    seed = f"{trial}\t{query_id}".encode()  # no tab is in the name of a trial
    return int.from_bytes(blake2b(seed, digest_size=COINS // 8, person=b"team draft").digest())
