"""How much closer to the truth the judgements are than raw click rates."""

from collections.abc import Iterable, Mapping

from schemas.judgements import Judgement
from schemas.search import SearchQuery
from services.cli.simulation.traffic import Arrival
from services.cli.simulation.truth import IMPRESSION, Agreement, Pair, Truth, agreement, click_rates
from services.judgements.domain.examination import Evidence, fit
from services.judgements.domain.query import normalise
from services.judgements.domain.recount import Recount, Written, recount
from services.judgements.domain.rules import Rules
from services.judgements.domain.statistics import Objective, estimates

CLICK = "click"
EVER = 0
"""A window that begins on 1 January 1970."""


def recounted(arrivals: Iterable[Arrival], rules: Rules) -> Recount:
    """Count a run's messages by the rules of the judgements worker, as if one partition held them all."""
    queries: list[Written] = []
    events: list[Written] = []
    for arrival in arrivals:
        kind = queries if isinstance(arrival.message, SearchQuery) else events
        kind.append(Written(0, arrival.time, arrival.message))
    return recount(queries, events, rules)


def corrected_rates(counted: Recount, objective: Objective) -> dict[Pair, float]:
    """Return each pair's click rate as the judgements worker estimates it from these counts."""
    window = counted.tally.window(EVER)
    evidence = Evidence(counted.tally.window_totals(EVER))
    for counts in window.values():
        evidence.add(counts)
    expectations = fit(evidence, objective.prior)
    return {
        (pair.query, pair.product_id): estimates(counts, expectations, objective)[CLICK].rate
        for pair, counts in window.items()
    }


def judged_rates(judgements: Iterable[Judgement]) -> dict[Pair, float]:
    """Return the same, as the judgements worker published it."""
    return {
        (judgement.query, judgement.product_id): judgement.actions[CLICK].rate
        for judgement in judgements
        if CLICK in judgement.actions
    }


def compare(
    truth: Truth, corrected: Mapping[Pair, float], *, impressions: int = 50
) -> tuple[Agreement, Agreement]:
    """Return how raw CTR and the corrected rate agree with the true appeal, on the same pairs.

    Pairs with fewer `impressions` are left out: their rates are noise, and what is left of an order
    among them is the ranker's, which showed the better products more often.
    """
    seen = {pair: tally for pair, tally in truth.shoppers.items() if tally[IMPRESSION] >= impressions}
    appeal = {_normal(pair): value for pair, value in truth.appeal().items()}
    raw = {_normal(pair): value for pair, value in click_rates(seen).items()}
    both = raw.keys() & corrected.keys()
    return (
        agreement("raw click rate", appeal, {pair: raw[pair] for pair in both}),
        agreement("corrected rate", appeal, {pair: corrected[pair] for pair in both}),
    )


def _normal(pair: Pair) -> Pair:
    query, product_id = pair
    return normalise(query), product_id
