"""From what a session did on interleaved answers to one score.

Team-draft interleaving (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
quality?", CIKM 2008): what a team's products attract speaks for it. A product whose team is a coin's word and
no more is nobody's (`shared.generations.teams.telling`): to count it would only add noise.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Team = Literal["A", "B", "-"]
"""The live generation's, the candidate's, nobody's."""

STRONGEST = 3.0
"""The most that a product may count, in clicks: a purchase is rare, and must not drown the rest."""


class ProductAction(NamedTuple):
    """A shopper acted on a product of an interleaved answer."""

    query_id: str
    product_id: str
    name: str
    team: str


class Credit(NamedTuple):
    """What a session said."""

    score: float
    """In [-1, 1]: what the candidate's team got less what the live one's got, of all that was acted upon."""
    acted: int
    """Products that were acted upon, each once an answer, nobody's too."""


def credit(actions: Iterable[ProductAction], weights: Mapping[str, float]) -> Credit:
    """Return what a session's actions say; the order of the actions and their repetition change nothing.

    A product counts once an answer, by its strongest action; `weights` is the objective. An action that the
    objective does not name, or weighs zero, counts nothing.
    """
    strongest: dict[tuple[str, str], tuple[float, str]] = {}
    for action in actions:
        worth = weights.get(action.name, 0.0)
        if worth > 0:
            product = action.query_id, action.product_id
            strongest[product] = max(strongest.get(product, (0.0, "")), (worth, action.team))
    least = min((weight for weight in weights.values() if weight > 0), default=1.0)
    given: Counter[str] = Counter()
    for worth, team in strongest.values():
        given[team] += min(worth / least, STRONGEST)  # type: ignore[assignment]  # a Counter of floats
    total = sum(given.values())
    return Credit((given["B"] - given["A"]) / total if total else 0.0, len(strongest))
