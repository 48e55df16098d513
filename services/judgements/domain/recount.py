"""The same counts from nothing but the two topics, in memory: what the stream must agree with.

A plain fold over each log in offset order: a home's partition of a topic, and that of its repartition topic.
It shares the rules with the stream (what a robot is, which action counts) and none of its machinery: no
Redis, no outbox, no batches, no expiry.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from schemas.judgements import Judgement
from schemas.search import SearchEvent, SearchQuery
from services.judgements.domain.admission import (
    JoinableEvent,
    JoinableQuery,
    Refused,
    StreamClock,
    admit_event,
    admit_query,
)
from services.judgements.domain.counts import OutcomeTally, PairCounts, QueryProduct
from services.judgements.domain.join import Joined, day_of, impressions, join
from services.judgements.domain.judgement import follows
from services.judgements.domain.pages import goes_on
from services.judgements.domain.rules import JoinRules
from services.judgements.domain.statistics import BusinessObjective


class RecountMessage(NamedTuple):
    """A message of a log: which one, Kafka timestamp, content. Offset order within a log."""

    log: Hashable
    timestamp: datetime
    message: SearchQuery | SearchEvent


@dataclass(slots=True)
class Recount:
    """The tally, and how many queries and events did not count for which reason."""

    tally: OutcomeTally = field(default_factory=OutcomeTally)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Answer:
    """What is known of a query id: its pages, or why its events do not count."""

    mark: str
    pages: list[JoinableQuery] = field(default_factory=list)


class _Limit:
    """How many a shopper may send within one hour of the stream's clock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._hour = -1
        self._sent: Counter[str] = Counter()

    def exceeded(self, shopper: str, hour: int) -> bool:
        if not shopper or not self._most:
            return False
        if hour != self._hour:
            self._hour = hour
            self._sent.clear()
        self._sent[shopper] += 1
        return self._sent[shopper] > self._most


def recount(queries: Iterable[RecountMessage], events: Iterable[RecountMessage], rules: JoinRules) -> Recount:
    """Join and count everything that was written; logs may be interleaved in any way."""
    result = Recount()
    for joined in outcomes(queries, events, rules=rules, left_out=result.left_out):
        day = day_of(joined.moment)
        tally = result.tally
        tally.add(joined.shown.query, joined.items, action=joined.action, shopper=joined.shopper, day=day)
    return result


def outcomes(
    queries: Iterable[RecountMessage],
    events: Iterable[RecountMessage],
    *,
    rules: JoinRules,
    left_out: Counter[str],
) -> Iterator[Joined]:
    """Yield what everything that was written joins to; counts in `left_out` what does not count, and why."""
    known: dict[str, _Answer] = {}
    yield from _queries(queries, rules, known=known, left_out=left_out)
    for query_id, action in _events(events, rules, left_out):
        if (answer := known.get(query_id)) is None:
            left_out["orphan"] += 1
        elif answer.mark:
            left_out[answer.mark] += 1
        elif (joined := join(answer.pages, action, rules)) is None:
            left_out["unattributed"] += 1
        else:
            yield joined


def _queries(
    queries: Iterable[RecountMessage],
    rules: JoinRules,
    *,
    known: dict[str, _Answer],
    left_out: Counter[str],
) -> Iterator[Joined]:
    clocks: defaultdict[Hashable, StreamClock] = defaultdict(lambda: StreamClock(rules))
    limits: defaultdict[Hashable, _Limit] = defaultdict(lambda: _Limit(rules.robot_queries))
    for at, timestamp, message in queries:
        assert isinstance(message, SearchQuery)  # noqa: S101 - narrows the type
        query = admit_query(message, timestamp, rules=rules, clock=clocks[at])
        answer, mark = known.get(message.query_id), query.mark
        if answer is not None and (answer.mark or mark or not goes_on(answer.pages[-1], query.shown)):
            left_out["duplicate"] += 1
            continue
        if limits[at].exceeded(query.limited, query.hour):
            mark = "robot"
        if answer is None:
            answer = known[message.query_id] = _Answer(mark)
        if not mark:
            answer.pages.append(query.shown)
        if mark or query.late:
            left_out[mark or "late"] += 1
        elif (joined := impressions(answer.pages, rules)) is not None:
            yield joined


def _events(
    events: Iterable[RecountMessage], rules: JoinRules, left_out: Counter[str]
) -> Iterator[tuple[str, JoinableEvent]]:
    clocks: defaultdict[Hashable, StreamClock] = defaultdict(lambda: StreamClock(rules))
    limits: defaultdict[Hashable, _Limit] = defaultdict(lambda: _Limit(rules.robot_events))
    seen: set[tuple[str, str]] = set()
    for at, timestamp, message in events:
        assert isinstance(message, SearchEvent)  # noqa: S101 - narrows the type
        event = admit_event(message, timestamp, rules=rules, clock=clocks[at])
        if isinstance(event, Refused):
            left_out[event.reason] += 1
        elif (event.query_id, event.identity) in seen:
            left_out["duplicate"] += 1
        else:
            seen.add((event.query_id, event.identity))
            if limits[at].exceeded(event.limited, event.hour):
                left_out["robot"] += 1
            else:
                yield event.query_id, event.action


def differences(expected: Mapping[QueryProduct, PairCounts], published: Iterable[Judgement]) -> list[str]:
    """Say, pair by pair, where the published judgements' counts are not the recounted ones."""
    by_pair = {QueryProduct(judgement.query, judgement.product_id): judgement for judgement in published}
    uncounted = sorted(by_pair.keys() - expected.keys())
    lines = [f"{_named(pair)}: judged, but nothing counts for it" for pair in uncounted]
    for pair, counts in sorted(expected.items()):
        if (judgement := by_pair.get(pair)) is None:
            lines.append(f"{_named(pair)}: not judged, but recounted {_told(_totals(counts))}")
        elif (theirs := _counts(judgement)) != (ours := _totals(counts)):
            lines.append(f"{_named(pair)}: judged from {_told(theirs)}; recounted {_told(ours)}")
    return lines


def underived(published: Iterable[Judgement], objective: BusinessObjective) -> list[str]:
    """Say which judgements' rates, value or grade are not those that their own figures give."""
    return [
        f"{_named(QueryProduct(judgement.query, judgement.product_id))}: "
        "its rates, value and grade do not follow from its counts"
        for judgement in published
        if not follows(judgement, objective)
    ]


def _named(pair: QueryProduct) -> str:
    return f"{pair.product_id} for {pair.query!r}"


def _told(totals: tuple[int, int, dict[str, int]]) -> str:
    shown, shoppers, actions = totals
    counts = {"shown": shown, "shoppers": shoppers, **dict(sorted(actions.items()))}
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _counts(judgement: Judgement) -> tuple[int, int, dict[str, int]]:
    actions = {action: figures.count for action, figures in judgement.actions.items() if figures.count}
    return judgement.impressions, judgement.shoppers, actions


def _totals(counts: PairCounts) -> tuple[int, int, dict[str, int]]:
    return sum(counts.impressions.values()), counts.shoppers, counts.actions
