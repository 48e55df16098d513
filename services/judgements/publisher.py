"""Says what is known about every touched pair, at most once a second; about all when expectations changed.

Read the touches and the counts, write the judgement (or the tombstone) and wait for the broker, then
forget the touches unless there were new ones: a kill anywhere in between publishes once more, never once
too few.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta

import orjson
import structlog
from redis.asyncio import Redis

from schemas.judgements import Judgement
from services.judgements import lua, metrics
from services.judgements.counts import WindowCounts
from services.judgements.domain.counts import PairCounts, QueryProduct
from services.judgements.domain.judgement import ScoringContext, judge
from services.judgements.domain.statistics import BusinessObjective
from services.judgements.state import JudgementState
from services.judgements.window import OutcomeWindow
from shared.ports import Clock, Publisher
from shared.records import Outgoing
from shared.state.fenced import FencedBatch, unless_revoked
from shared.state.redis import text, transient

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
AT_ONCE = 500

Check = Callable[[], Awaitable[None]]


class JudgementPublisher:
    """Publishes what the windows that this process owns have touched."""

    def __init__(
        self,
        redis: Redis,
        window: OutcomeWindow,
        *,
        counts: WindowCounts,
        publisher: Publisher,
        objective: BusinessObjective,
    ) -> None:
        self._redis = redis
        self._window = window
        self._counts = counts
        self._publisher = publisher
        self._objective = objective
        self._fetch = FencedBatch(redis, lua.steps("fetch"))
        self._clear = FencedBatch(redis, lua.steps("clear"), refuses=False)

    async def publish(self, number: int, clock: Clock) -> None:
        """Publish every pair of the partition that is marked now."""
        held = self._window.held[number]
        expectations = await self._counts.expectations(held.incarnation)
        await self._window.mark_stale(number, f"{expectations.version} {self._objective.name}")
        now = clock.now()
        by = ScoringContext(
            expectations=expectations,
            objective=self._objective,
            first=self._window.first,
            today=self._window.today(now),
            now=now,
        )
        done: set[str] = set()
        cursor = -1
        while cursor:
            with transient():
                cursor, marked = await self._redis.hscan(
                    held.keys.key("dirty"), max(cursor, 0), count=AT_ONCE
                )
            fresh = [pair for pair in map(text, marked) if pair not in done]
            done.update(fresh)
            for start in range(0, len(fresh), AT_ONCE):
                await self._publish(number, held, pairs=fresh[start : start + AT_ONCE], by=by)

    async def _publish(
        self, number: int, held: JudgementState, *, pairs: Sequence[str], by: ScoringContext
    ) -> None:
        rows = orjson.loads(await self._fetch(held, pairs=pairs, first=by.first))
        messages = [_message(name, row, by) for name, (_, *row) in zip(pairs, rows, strict=True)]
        await self._publisher.publish(messages)
        published = [(name, touches) for name, (touches, *_) in zip(pairs, rows, strict=True)]
        left = await self._clear(held, published=published)
        tombstones = sum(message.value is None for message in messages)
        metrics.published.labels("tombstone").inc(tombstones)
        metrics.published.labels("judgement").inc(len(messages) - tombstones)
        metrics.dirty.labels(str(number)).set(left)


def _message(name: str, row: Sequence[str | int], by: ScoringContext) -> Outgoing:
    pair = QueryProduct(*name.rsplit("\t", 1))
    searches, *fields = row
    numbers = dict(zip(map(str, fields[::2]), map(int, fields[1::2]), strict=True))
    counts = PairCounts.of(numbers, by.first, int(searches))
    value = None if counts.empty else judge(pair, counts, by).encode()
    return Outgoing(Judgement.topic, name.encode(), value)


class Ticker:
    """One tick: days that are over leave, touched pairs are published, the incarnation is checked."""

    def __init__(
        self,
        window: OutcomeWindow,
        publisher: JudgementPublisher,
        *,
        clock: Clock,
        checks: Iterable[Check] = (),
    ) -> None:
        self._window = window
        self._publisher = publisher
        self._clock = clock
        self._checks = tuple(checks)

    async def tick(self) -> None:
        """Do it once, for every partition that is held."""
        for check in self._checks:
            await check()
        for number in list(self._window.held):
            with unless_revoked(self._window.held, number):
                await self._window.expire(number)
                await self._publisher.publish(number, self._clock)
