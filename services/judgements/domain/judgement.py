"""The message that says what is known about one product for one query."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from schemas.judgements import ActionStatistics, Judgement
from services.judgements.domain import statistics
from services.judgements.domain.counts import Pair, PairCounts
from services.judgements.domain.statistics import Estimate, Objective

BEGINNING = date(1970, 1, 1)
DECIMALS = 6


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What a pair's counts are held against: position rates, the objective, the window, the time."""

    rates: Mapping[str, Mapping[int, float]]
    objective: Objective
    first: int
    today: int
    now: datetime


def judge(pair: Pair, counts: PairCounts, by: Yardstick) -> Judgement:
    """Return the judgement of one pair."""
    found = statistics.estimates(counts, by.rates, by.objective)
    worth = statistics.value(found, by.objective)
    return Judgement(
        query=pair.query,
        product_id=pair.product_id,
        window_start=BEGINNING + timedelta(days=by.first),
        window_end=BEGINNING + timedelta(days=by.today),
        impressions=sum(counts.impressions.values()),
        shoppers=counts.shoppers,
        actions={action: _message(it) for action, it in found.items()},
        value=round(worth, DECIMALS),
        grade=round(statistics.grade(worth), DECIMALS),
        updated_at=by.now,
    )


def _message(it: Estimate) -> ActionStatistics:
    return ActionStatistics(
        count=it.count,
        expected=round(it.expected, DECIMALS),
        rate=round(it.rate, DECIMALS),
        low=round(it.low, DECIMALS),
        high=round(it.high, DECIMALS),
    )
