"""From what a session did on interleaved answers to one score.

Team-draft interleaving (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
quality?", CIKM 2008): what a team's products attract speaks for it. A product whose team is a coin's word and
no more is nobody's (`shared.generations.teams.telling`): to count it would only add noise.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

STRONGEST = 1.5
"""The most that a product may count, in clicks: a purchase is rare, and must not drown the rest."""
LIMIT = 5
"""So many clicks more for one side are all that a session can say: it may not drown the others, either."""


class ProductAction(NamedTuple):
    """A shopper acted on a product of an interleaved answer."""

    query_id: str
    product_id: str
    name: str
    team: str


class Credit(NamedTuple):
    """What a session said."""

    score: float
    """In [-1, 1], in units of `LIMIT` clicks: what the candidate's team got less what the live one's got."""
    acted: int
    """Products that were acted upon, each once an answer, nobody's too."""


def credit(actions: Iterable[ProductAction], weights: Mapping[str, float]) -> Credit:
    """Return what a session's actions say; the order of the actions and their repetition change nothing.

    A product counts once an answer, by its strongest action; `weights` is the objective, and the least of
    its weights is what a click counts. An action that it does not name, or weighs zero, counts nothing.
    """
    strongest: dict[tuple[str, str], tuple[float, str]] = {}
    for action in actions:
        worth = weights.get(action.name, 0.0)
        if worth > 0:
            product = action.query_id, action.product_id
            strongest[product] = max(strongest.get(product, (0.0, "")), (worth, action.team))
    least = min((weight for weight in weights.values() if weight > 0), default=1.0)
    apart = sum(_SIDE.get(team, 0) * min(worth / least, STRONGEST) for worth, team in strongest.values())
    return Credit(max(-1.0, min(apart / LIMIT, 1.0)), len(strongest))


def voice(acted: int) -> float:
    """Return how much a session in which so many products were acted upon may say, in (0, 1]; 0 for none."""
    return min(acted, LIMIT) / LIMIT


_SIDE = {"A": -1, "B": 1}
