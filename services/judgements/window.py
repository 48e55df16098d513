"""Stage two: outcomes into day buckets.

A partition of `search.outcomes.v1` is one hash tag, `{window-<number>}`. A batch is summed in memory and
added by one atomic script, together with the highest sequence of each origin, the offset, and the set of
pairs that are to be published: what was counted and not yet published survives any kill.

Days leave by the clock, not by traffic: `expire` takes them out and marks the pairs they were in. An
outcome of a day that has left is not counted, but its pair is marked too: after a rebuild that is what
gives a pair that has emptied meanwhile its tombstone.
"""

from collections.abc import Mapping
from datetime import datetime

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from schemas.base import milliseconds
from schemas.judgements import Outcome
from schemas.wire import WireError
from schemas.wire.messages import decode_message
from services.judgements import lua, metrics
from services.judgements.domain.counts import OutcomeTally, QueryProduct, first_day
from services.judgements.domain.join import day_of
from services.judgements.incarnation import Incarnations
from services.judgements.state import JudgementState, States, scan_queries
from shared.errors import PoisonError
from shared.ports import Clock
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.state.fenced import FencedBatch
from shared.state.redis import text, transient

log = structlog.get_logger()

QUERIES_AT_ONCE = 100
SEEN = "seen:"
AGAINST = b"against"


class OutcomeWindow:
    """The partition handler of `search.outcomes.v1`."""

    def __init__(
        self, redis: Redis, states: States, *, incarnations: Incarnations, clock: Clock, days: int
    ) -> None:
        self._redis = redis
        self._states = states
        self._incarnations = incarnations
        self._clock = clock
        self._days = days
        self._held: dict[int, JudgementState] = {}
        self._seen: dict[int, dict[int, int]] = {}
        self._count = FencedBatch(redis, lua.steps("count"))
        self._expire = FencedBatch(redis, lua.steps("expire"))
        self._mark_stale = FencedBatch(redis, lua.steps("mark_stale"))

    @property
    def held(self) -> Mapping[int, JudgementState]:
        """The states that this process owns, by partition number."""
        return self._held

    @property
    def first(self) -> int:
        """The first live day, counted from 1970."""
        return first_day(day_of(milliseconds(self._clock.now())), self._days)

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take the counts over; new ones begin at the start of the outcomes."""
        incarnation = await self._incarnations.current()
        held = await self._states.claim(
            partition.number, incarnation, topic=partition.topic, log=source, create=True
        )
        assert held is not None  # noqa: S101 - created when it was not there
        with transient():
            state = await self._redis.hgetall(held.keys.state)
        self._seen[partition.number] = {
            int(text(name).removeprefix(SEEN)): int(sequence)
            for name, sequence in state.items()
            if text(name).startswith(SEEN)
        }
        held.against = text(state.get(AGAINST, b""))
        self._held[partition.number] = held
        return held.next_offset

    def decode(self, record: Record) -> Outcome:
        """Read an outcome."""
        try:
            return Outcome.decode(record.value or b"")
        except ValidationError:
            return self._explain(record)

    @staticmethod
    def _explain(record: Record) -> Outcome:
        try:
            return decode_message(Outcome, record.value)
        except WireError as error:
            raise PoisonError(error.reason, error.explanation) from error

    async def handle(self, partition: Partition, batch: Batch[Outcome]) -> Applied:
        """Count the batch's new outcomes and move the offset, in one step."""
        held = self._held[partition.number]
        seen = dict(self._seen[partition.number])
        tally, expired, no_op = OutcomeTally(), set[QueryProduct](), 0
        first = max(self.first, held.first)
        for _, outcome in batch.messages:
            if outcome.incarnation != held.incarnation or outcome.sequence <= seen.get(outcome.origin, 0):
                no_op += 1
                continue
            seen[outcome.origin] = outcome.sequence
            day = day_of(milliseconds(outcome.event_time))
            if day < first:
                expired.update(QueryProduct(outcome.query, item.product_id) for item in outcome.items)
            else:
                items = [(item.product_id, item.position) for item in outcome.items]
                tally.add(outcome.query, items, action=outcome.action, shopper=outcome.shopper, day=day)
        await self._count.apply(
            held, next_offset=batch.next_offset, seen=_named(seen), **_content(tally), expired=_keys(expired)
        )
        self._seen[partition.number] = seen
        metrics.tallies.labels(partition.topic, "expired").inc(len(expired))
        return Applied(len(batch.messages) - no_op, no_op)

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; what is in Redis is for its next owner."""
        self._held.pop(partition.number, None)
        self._seen.pop(partition.number, None)

    async def expire(self, number: int) -> None:
        """Take the days out that have left the window, if there are any."""
        held = self._held[number]
        first = self.first
        if first <= held.first:
            return
        left = 1
        while left:
            left = int(await self._expire(held, first=first, limit=QUERIES_AT_ONCE))
        held.first = first
        log.info("window.moved", partition=number, first_day=first)

    async def mark_stale(self, number: int, against: str) -> None:
        """Mark pairs that were published against other expectations; a portion at each call.

        What is touched meanwhile is published against the new ones anyway. Killed halfway, the next
        owner begins again.
        """
        held = self._held[number]
        if held.against == against:
            return
        cursor = held.marking[1] if held.marking[0] == against else 0
        cursor, queries = await scan_queries(self._redis, held.keys, cursor)
        await self._mark_stale(held, queries=queries, against="" if cursor else against)
        held.marking = (against, cursor)
        if not cursor:
            held.against = against
            log.info("window.marked_stale", partition=number, against=against)

    @staticmethod
    def today(now: datetime) -> int:
        """Return the day of `now`, counted from 1970."""
        return day_of(milliseconds(now))


def _named(seen: Mapping[int, int]) -> dict[str, int]:
    return {str(origin): sequence for origin, sequence in seen.items()}


def _keys(pairs: set[QueryProduct]) -> list[str]:
    return [f"{pair.query}\t{pair.product_id}" for pair in pairs]


def _content(tally: OutcomeTally) -> dict[str, object]:
    """Return a tally as `count.lua` reads it: mappings as flat lists."""
    oldest: dict[str, int] = {}
    pairs = []
    for pair, fields in tally.pairs.items():
        pairs.append((*pair, _flat(fields), _flat(tally.shoppers.get(pair, {}))))
        day = min(int(name[:5]) for name in fields)
        oldest[pair.query] = min(day, oldest.get(pair.query, day))
    return {
        "pairs": pairs,
        "totals": [(day, _flat(fields)) for day, fields in tally.totals.items()],
        "searches": [
            (query, day, number) for query, days in tally.searches.items() for day, number in days.items()
        ],
        "oldest": list(oldest.items()),
    }


def _flat(fields: Mapping[str, int]) -> list[object]:
    return [part for field in fields.items() for part in field]
