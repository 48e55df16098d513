"""The message that says what is known about one product for one query."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from schemas.judgements import ActionStatistics, Judgement
from services.judgements.domain import statistics
from services.judgements.domain.counts import PairCounts, QueryProduct
from services.judgements.domain.expectations import Expectations
from services.judgements.domain.statistics import BusinessObjective, Estimate

BEGINNING = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class ScoringContext:
    """What a pair's counts are scored by: expectations, the objective, the window, the time."""

    expectations: Expectations
    objective: BusinessObjective
    first: int
    today: int
    now: datetime


def judge(pair: QueryProduct, counts: PairCounts, by: ScoringContext) -> Judgement:
    """Return the judgement of one pair."""
    estimates = statistics.estimates(counts, by.expectations, by.objective)
    value = statistics.value(estimates, by.objective)
    return Judgement(
        query=pair.query,
        product_id=pair.product_id,
        window_start=BEGINNING + timedelta(days=by.first),
        window_end=BEGINNING + timedelta(days=by.today),
        impressions=sum(counts.impressions.values()),
        shoppers=counts.shoppers,
        actions={action: _message(estimate) for action, estimate in estimates.items()},
        value=value,
        grade=statistics.grade(value),
        updated_at=by.now,
    )


def follows(judgement: Judgement, objective: BusinessObjective) -> bool:
    """Whether the judgement's rates, value and grade are those that its counts and expectations give."""
    estimates = {
        action: statistics.estimate(shown.count, shown.expected, prior=shown.prior, weight=objective.prior)
        for action, shown in judgement.actions.items()
    }
    value = statistics.value(estimates, objective)
    actions = {action: _message(estimate) for action, estimate in estimates.items()}
    return (judgement.actions, judgement.value, judgement.grade) == (actions, value, statistics.grade(value))


def _message(estimate: Estimate) -> ActionStatistics:
    return ActionStatistics(
        count=estimate.count,
        expected=estimate.expected,
        prior=estimate.prior,
        rate=estimate.rate,
        low=estimate.low,
        high=estimate.high,
    )
