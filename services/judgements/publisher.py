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
from services.judgements import metrics
from services.judgements.counts import WindowCounts
from services.judgements.domain.counts import Pair, PairCounts
from services.judgements.domain.judgement import Yardstick, judge
from services.judgements.domain.statistics import Objective
from services.judgements.state import GuardedScript, Held
from services.judgements.window import Window
from shared.adapters.redis import text, transient
from shared.errors import FencedError
from shared.ports import Clock, Publisher
from shared.records import Outgoing

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
AT_ONCE = 500

Check = Callable[[], Awaitable[None]]


class JudgementPublisher:
    """Publishes what the windows that this process owns have touched."""

    def __init__(
        self,
        redis: Redis,
        window: Window,
        *,
        counts: WindowCounts,
        publisher: Publisher,
        objective: Objective,
    ) -> None:
        self._redis = redis
        self._window = window
        self._counts = counts
        self._publisher = publisher
        self._objective = objective
        self._fetch = GuardedScript(redis, "guard", "fetch")
        self._clear = GuardedScript(redis, "guard", "clear")

    async def publish(self, number: int, clock: Clock) -> None:
        """Publish every pair of the partition that is marked now."""
        held = self._window.held[number]
        expectations = await self._counts.expectations(held.incarnation)
        await self._window.remark(number, f"{expectations.version} {self._objective.name}")
        now = clock.now()
        by = Yardstick(
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
                    held.key.removesuffix("state") + "dirty", max(cursor, 0), count=AT_ONCE
                )
            fresh = [pair for pair in map(text, marked) if pair not in done]
            done.update(fresh)
            for start in range(0, len(fresh), AT_ONCE):
                await self._publish(number, held, pairs=fresh[start : start + AT_ONCE], by=by)

    async def _publish(self, number: int, held: Held, *, pairs: Sequence[str], by: Yardstick) -> None:
        found = orjson.loads(await self._fetch(held, pairs=pairs, first=by.first))
        messages = [_message(name, told, by) for name, (_, *told) in zip(pairs, found, strict=True)]
        await self._publisher.publish(messages)
        published = [(name, touches) for name, (touches, *_) in zip(pairs, found, strict=True)]
        left = await self._clear(held, published=published)
        tombstones = sum(message.value is None for message in messages)
        metrics.published.labels("tombstone").inc(tombstones)
        metrics.published.labels("judgement").inc(len(messages) - tombstones)
        metrics.dirty.labels(str(number)).set(left)


def _message(name: str, told: Sequence[str | int], by: Yardstick) -> Outgoing:
    pair = Pair(*name.rsplit("\t", 1))
    searches, *fields = told
    numbers = dict(zip(map(str, fields[::2]), map(int, fields[1::2]), strict=True))
    counts = PairCounts.of(numbers, by.first, int(searches))
    value = None if counts.empty else judge(pair, counts, by).encode()
    return Outgoing(Judgement.topic, name.encode(), value)


class Ticker:
    """One tick: days that are over leave, touched pairs are published, the incarnation is checked."""

    def __init__(
        self, window: Window, publisher: JudgementPublisher, *, clock: Clock, checks: Iterable[Check] = ()
    ) -> None:
        self._window = window
        self._publisher = publisher
        self._clock = clock
        self._checks = tuple(checks)

    async def tick(self) -> None:
        """Do it once, for every partition that is held."""
        for check in self._checks:
            await check()
        for number, held in list(self._window.held.items()):
            try:
                await self._window.expire(number)
                await self._publisher.publish(number, self._clock)
            except (FencedError, KeyError):
                if self._window.held.get(number) is held:
                    raise
                log.info("partition.gone", partition=number)  # it was revoked while we worked on it
