"""How much closer to the truth the judgements are than raw click rates."""

from collections.abc import Iterable, Mapping

from schemas.judgements import Judgement
from schemas.search import SearchQuery
from services.judgements.domain.examination import ExaminationEvidence, fit
from services.judgements.domain.recount import Recount, RecountMessage, recount
from services.judgements.domain.rules import JoinRules
from services.judgements.domain.statistics import BusinessObjective, estimates
from services.lab.simulation.traffic import Arrival
from services.lab.simulation.truth import IMPRESSION, Agreement, Pair, Truth, agreement, click_rates
from shared.catalogue.query_text import normalise

CLICK = "click"
EVER = 0
"""A window that begins on 1 January 1970."""


def recounted(arrivals: Iterable[Arrival], rules: JoinRules) -> Recount:
    """Count a run's messages by the rules of the judgements worker, as if one partition held them all."""
    queries: list[RecountMessage] = []
    events: list[RecountMessage] = []
    for arrival in arrivals:
        kind = queries if isinstance(arrival.message, SearchQuery) else events
        kind.append(RecountMessage(0, arrival.time, arrival.message))
    return recount(queries, events, rules)


def corrected_rates(counted: Recount, objective: BusinessObjective) -> dict[Pair, float]:
    """Return each pair's click rate as the judgements worker estimates it from these counts."""
    window = counted.tally.window(EVER)
    evidence = ExaminationEvidence(counted.tally.window_totals(EVER))
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
    shown = {pair: tally for pair, tally in truth.shoppers.items() if tally[IMPRESSION] >= impressions}
    appeal = {_normal(pair): value for pair, value in truth.appeal().items()}
    raw = {_normal(pair): value for pair, value in click_rates(shown).items()}
    pairs = raw.keys() & corrected.keys()
    return (
        agreement("raw click rate", appeal, {pair: raw[pair] for pair in pairs}),
        agreement("corrected rate", appeal, {pair: corrected[pair] for pair in pairs}),
    )


def _normal(pair: Pair) -> Pair:
    query, product_id = pair
    return normalise(query), product_id
