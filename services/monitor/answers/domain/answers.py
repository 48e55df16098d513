"""How many answers are empty or partial: buckets by event time, a window against the time before it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import sqrt

from pydantic import BaseModel, ConfigDict

from schemas.alerts import alert_key
from services.monitor.alerts.domain.observation import Observation
from shared.section import Duration

ZERO_RESULTS = "zero-results"
PARTIAL_ANSWERS = "partial-answers"
SUBJECT = "search"
Z_ALARM = 3.0
"""One-sided: a window of a healthy shop breaches about once in 700."""


class Bucket(BaseModel):
    """Answers whose query was asked in one span of event time."""

    model_config = ConfigDict(frozen=True)

    total: int = 0
    zero: int = 0
    partial: int = 0

    def __add__(self, other: "Bucket") -> "Bucket":
        return Bucket(
            total=self.total + other.total, zero=self.zero + other.zero, partial=self.partial + other.partial
        )


class WindowRule(BaseModel):
    """How answers are counted, and how much worse than usual is an alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: Duration = timedelta(minutes=1)
    window: Duration = timedelta(minutes=15)
    past: Duration = timedelta(hours=24)
    minimum: int = 50
    """Answers in the window below which nothing is said."""
    settle: int = 200
    """Answers in the past below which `unknown_rate` stands in for the usual rate."""
    unknown_rate: float = 0.4
    margin: float = 0.05
    """The rate must be surely above the usual one by more than this."""


def start_of(moment: datetime, bucket: timedelta) -> int:
    """Return the bucket of a moment, as whole buckets since 1970."""
    return int(moment.timestamp() // bucket.total_seconds())


def oldest(now: datetime, rule: WindowRule) -> int:
    """Return the first bucket that still matters."""
    return start_of(now, rule.bucket) - int(rule.window / rule.bucket) - int(rule.past / rule.bucket) + 1


def counted(moment: datetime, now: datetime, rule: WindowRule) -> int | None:
    """Return the bucket to count a query in; None when it is too old to matter. The future is now."""
    bucket = start_of(min(moment, now), rule.bucket)
    return bucket if bucket >= oldest(now, rule) else None


def assess(
    buckets: Mapping[int, Bucket], *, now: datetime, rule: WindowRule, open_since: datetime | None
) -> tuple[Bucket, Bucket]:
    """Return (window, past): the last `window` of answers, and the answers before it.

    While an alert is open (`open_since`), its own time does not become the new normal.
    """
    newest = start_of(now, rule.bucket)
    first = newest - int(rule.window / rule.bucket) + 1
    healthy = first if open_since is None else min(first, start_of(open_since - rule.window, rule.bucket))
    begin = oldest(now, rule)
    window = sum((counts for bucket, counts in buckets.items() if first <= bucket <= newest), Bucket())
    past = sum((counts for bucket, counts in buckets.items() if begin <= bucket < healthy), Bucket())
    return window, past


def zero_results(window: Bucket, past: Bucket, rule: WindowRule) -> Observation | None:
    """Say whether surely more answers are empty than usual; None with too few answers to tell."""
    if window.total < rule.minimum:
        return None
    usual = past.zero / past.total if past.total >= rule.settle else rule.unknown_rate
    rate = window.zero / window.total
    breached = lower_bound(window.zero, window.total) > usual + rule.margin
    return Observation(
        key=alert_key(ZERO_RESULTS, SUBJECT),
        breached=breached,
        severity="critical" if rate >= 0.5 and breached else "warning",
        summary=f"{rate:.1%} of {window.total:,} searches found nothing, usually {usual:.1%}",
        action=(
            "list the queries without results on search.queries.v1 and compare them with the last catalogue "
            "import, index generation and search thresholds"
        )
        if breached
        else "nothing to do",
        evidence={"rate": rate, "usual": usual, "searches": window.total, "empty": window.zero},
        signature=f"{rate:.1f}",
    )


def partial_answers(window: Bucket, rule: WindowRule) -> Observation | None:
    """Say whether surely more than `margin` of the answers lacked a shard; None with too few to tell."""
    if window.total < rule.minimum:
        return None
    rate = window.partial / window.total
    breached = lower_bound(window.partial, window.total) > rule.margin
    return Observation(
        key=alert_key(PARTIAL_ANSWERS, SUBJECT),
        breached=breached,
        severity="critical" if rate >= 0.5 and breached else "warning",
        summary=f"{rate:.1%} of {window.total:,} answers were partial: a shard did not answer in time",
        action=(
            "see which shards are slow or away (shard-missing and shard-lag alerts, GET /readyz of search); "
            "add shards workers, or raise the search deadline"
        )
        if breached
        else "nothing to do",
        evidence={"rate": rate, "searches": window.total, "partial": window.partial},
        signature=f"{rate:.1f}",
    )


def lower_bound(successes: int, trials: int, z: float = Z_ALARM) -> float:
    """Return Wilson's lower bound of a rate (Wilson 1927); 0 for no trials."""
    if trials == 0:
        return 0.0
    rate, square = successes / trials, z * z
    centre = rate + square / (2 * trials)
    spread = z * sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    return max(0.0, (centre - spread) / (1 + square / trials))


class LoggedAnswer(BaseModel):
    """What counts of one logged answer; `products` as `schemas.search.SearchQuery.found` has them."""

    model_config = ConfigDict(frozen=True)

    asked_at: datetime
    products: int | None
    partial: bool = False


def tally(
    answers: Iterable[LoggedAnswer | None], *, now: datetime, rule: WindowRule
) -> tuple[dict[int, Bucket], int]:
    """Return what to add to each bucket, and how many answers were counted."""
    added: dict[int, Bucket] = {}
    count = 0
    for answer in answers:
        bucket = None if answer is None or answer.products is None else counted(answer.asked_at, now, rule)
        if answer is None or bucket is None:
            continue
        counts = Bucket(total=1, zero=int(answer.products == 0), partial=int(answer.partial))
        added[bucket] = added.get(bucket, Bucket()) + counts
        count += 1
    return added, count
