"""What a drafted list says of two rankings: which of its products tell them apart."""

from collections.abc import Sequence

Ranks = tuple[int, int]
"""A product's rank with the live generation and with the candidate, from 1; 0 where it is not ranked."""


def telling(teams: str, ranks: Sequence[Ranks]) -> str:
    """Return the teams of a team draft, with `-` for each product whose team is a coin's word and no more.

    It is where a round begins with a product that both would pick: the product stands there whichever way
    the coin falls, so what shoppers think of it says nothing, and to count it adds noise. Where both would
    pick the same one after it, too, that one says nothing either. Not so a second pick after a first that
    differed: without it, the two would no longer stand at each place equally often, and shoppers who choose
    by place alone would seem to prefer one of them (decision 052).
    """
    shown: tuple[set[int], set[int]] = (set(), set())
    credited: list[str] = []
    for place, (team, both) in enumerate(zip(teams, ranks, strict=True)):
        shared = all(_next(rank, used) for rank, used in zip(both, shown, strict=True))
        coin = shared and (place % 2 == 0 or credited[-1] == "-")
        credited.append("-" if coin else team)
        for rank, used in zip(both, shown, strict=True):
            used.add(rank)
    return "".join(credited)


def _next(rank: int, used: set[int]) -> bool:
    return rank > 0 and sum(0 < other < rank for other in used) == rank - 1
