"""The message that says what is known about one product for one query."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from schemas.judgements import ActionStatistics, Judgement
from services.judgements.domain import statistics
from services.judgements.domain.counts import Pair, PairCounts
from services.judgements.domain.expectations import Expectations
from services.judgements.domain.statistics import Estimate, Objective

BEGINNING = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What a pair's counts are held against: expectations, the objective, the window, the time."""

    expectations: Expectations
    objective: Objective
    first: int
    today: int
    now: datetime


def judge(pair: Pair, counts: PairCounts, by: Yardstick) -> Judgement:
    """Return the judgement of one pair."""
    found = statistics.estimates(counts, by.expectations, by.objective)
    worth = statistics.value(found, by.objective)
    return Judgement(
        query=pair.query,
        product_id=pair.product_id,
        window_start=BEGINNING + timedelta(days=by.first),
        window_end=BEGINNING + timedelta(days=by.today),
        impressions=sum(counts.impressions.values()),
        shoppers=counts.shoppers,
        actions={action: _message(it) for action, it in found.items()},
        value=worth,
        grade=statistics.grade(worth),
        updated_at=by.now,
    )


def follows(it: Judgement, objective: Objective) -> bool:
    """Whether the judgement's rates, value and grade are those that its counts and expectations give."""
    found = {
        action: statistics.estimate(told.count, told.expected, prior=told.prior, weight=objective.prior)
        for action, told in it.actions.items()
    }
    worth = statistics.value(found, objective)
    actions = {action: _message(estimate) for action, estimate in found.items()}
    return (it.actions, it.value, it.grade) == (actions, worth, statistics.grade(worth))


def _message(it: Estimate) -> ActionStatistics:
    return ActionStatistics(
        count=it.count, expected=it.expected, prior=it.prior, rate=it.rate, low=it.low, high=it.high
    )
