"""What really happened, and how well somebody else's estimate of relevance agrees with it."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.search import SearchEvent, SearchQuery
from services.lab.simulation.shoppers import ShownProduct

Pair = tuple[str, str]
"""Query text, as the catalogue has it, and product id."""

Tallies = dict[Pair, Counter[str]]
"""How often each action happened; `impression` is one of them."""

IMPRESSION = "impression"


@dataclass
class Truth:
    """The exact table: every impression and action once, shoppers and robots apart."""

    shoppers: Tallies = field(default_factory=lambda: defaultdict(Counter))
    robots: Tallies = field(default_factory=lambda: defaultdict(Counter))
    _known: dict[Pair, ShownProduct] = field(default_factory=dict)

    def knows(self, query: str, shown: ShownProduct) -> None:
        """Remember a pair's grade and appeal."""
        self._known[query, shown.product_id] = shown

    def shown(self, query: str, product_id: str) -> ShownProduct | None:
        """Return a pair's grade and appeal, once it has been shown."""
        return self._known.get((query, product_id))

    def saw(self, query: str, ranking: Sequence[ShownProduct], *, robot: bool) -> None:
        """Count an impression for each product of the ranking."""
        tallies = self.robots if robot else self.shoppers
        for shown in ranking:
            tallies[query, shown.product_id][IMPRESSION] += 1

    def did(self, query: str, product_id: str, action: str, *, robot: bool) -> None:
        """Count an action."""
        tallies = self.robots if robot else self.shoppers
        tallies[query, product_id][action] += 1

    def totals(self) -> Counter[str]:
        """Return how often shoppers did each action, over all pairs."""
        return sum(self.shoppers.values(), Counter())

    def appeal(self) -> dict[Pair, float]:
        """Return the true probability of a click given a look, for every pair that shoppers were shown."""
        return {pair: self._known[pair].appeal for pair in self.shoppers}

    def table(self) -> list[dict[str, object]]:
        """Return one row a pair, ready for JSON, in order of query and product."""
        return [
            {
                "query": query,
                "product_id": product,
                "grade": self._known[query, product].grade,
                "appeal": self._known[query, product].appeal,
                "shoppers": dict(self.shoppers.get((query, product), {})),
                "robots": dict(self.robots.get((query, product), {})),
            }
            for query, product in sorted(self._known)
        ]


def recount(
    messages: Iterable[SearchQuery | SearchEvent], *, robots: Container[str], texts: Mapping[str, str]
) -> Tallies:
    """Count anew from the messages alone, the slow and obvious way, in whatever order they came.

    `robots` are the client ids to leave out; `texts` maps what was typed to the catalogue's query.
    """
    queries: dict[str, SearchQuery] = {}
    events: dict[str, SearchEvent] = {}
    for message in messages:
        if message.client_id in robots:
            continue
        if isinstance(message, SearchQuery):
            queries[message.query_id] = message
        else:
            events[str(message.event_id)] = message
    tallies: Tallies = defaultdict(Counter)
    for query in queries.values():
        for product in query.query_response_object_ids:
            tallies[texts[query.user_query], product][IMPRESSION] += 1
    for event in events.values():
        query, clicked = queries[str(event.query_id)], event.event_attributes.object
        if clicked is not None and clicked.object_id is not None:
            tallies[texts[query.user_query], clicked.object_id][event.action_name] += 1
    return tallies


def click_rates(tallies: Mapping[Pair, Mapping[str, int]]) -> dict[Pair, float]:
    """Return raw CTR: clicks an impression, blind to where the product was shown."""
    return {
        pair: tally.get("click", 0) / tally[IMPRESSION]
        for pair, tally in tallies.items()
        if tally.get(IMPRESSION)
    }


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of an estimate with the truth, over `pairs` pairs of `queries` queries.

    `overall` is Spearman's rho over all pairs; `within` its mean over queries, weighted by their pairs.
    """

    name: str
    pairs: int
    queries: int
    overall: float
    within: float


def agreement(
    name: str, truth: Mapping[Pair, float], estimate: Mapping[Pair, float], *, at_least: int = 5
) -> Agreement:
    """Compare on the common pairs; `within` skips queries with fewer than `at_least` of them."""
    pairs = sorted(truth.keys() & estimate.keys())
    by_query: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_query[pair[0]].append(pair)
    groups = [group for group in by_query.values() if len(group) >= at_least]
    inner = [_spearman(group, truth, estimate) for group in groups]
    sizes = [len(group) for group in groups]
    within = float(np.average(inner, weights=sizes)) if groups else 0.0
    return Agreement(name, len(pairs), len(groups), _spearman(pairs, truth, estimate), within)


def _spearman(pairs: Sequence[Pair], truth: Mapping[Pair, float], estimate: Mapping[Pair, float]) -> float:
    if len(pairs) < 2:
        return 0.0
    return spearman(np.array([truth[pair] for pair in pairs]), np.array([estimate[pair] for pair in pairs]))


def spearman(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; 0 when one side is constant."""
    ranks = _ranks(left), _ranks(right)
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return mean
