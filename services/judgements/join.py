"""Stage one: queries and events of one partition number, joined whichever comes first.

Both topics have the same partitions and the query id as key, so a query meets its events under one hash
tag, `{join-<number>}`. Each topic has its own epoch and offset there. A batch is one atomic script:
remember queries, drop duplicates and robots, join or let wait, append to the outbox, move the offset.
Remembered queries, waiting events and identities expire when no event can need them any more.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta

import orjson
import structlog
from redis.asyncio import Redis

from schemas.search import SearchEvent, SearchQuery
from schemas.wire import WireError, decode_event, decode_query
from services.judgements import metrics
from services.judgements.domain.admission import MILLISECOND, Refused, StreamClock, admit_event, admit_query
from services.judgements.domain.join import impressions
from services.judgements.domain.rules import Rules
from services.judgements.incarnation import Incarnations
from services.judgements.outbox import Outbox
from services.judgements.state import GuardedScript, Held, States
from shared.errors import PoisonError
from shared.records import Applied, Batch, Partition, Record

log = structlog.get_logger()

MARGIN = timedelta(days=7)
"""How long this worker may be away before what it remembers expires too early."""

Searched = SearchQuery | SearchEvent


class Join:
    """The partition handler of `search.queries.v1` and `search.events.v1`."""

    def __init__(
        self, redis: Redis, states: States, *, incarnations: Incarnations, outbox: Outbox, rules: Rules
    ) -> None:
        self._states = states
        self._incarnations = incarnations
        self._outbox = outbox
        self._rules = rules
        keep = rules.longest_attribution + rules.clock_skew + rules.grace + MARGIN
        self._keep = keep // MILLISECOND
        self._held: dict[Partition, Held] = {}
        self._claiming: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._put_queries = GuardedScript(redis, "guard", "offset", "admit", "queries")
        self._put_events = GuardedScript(redis, "guard", "offset", "admit", "events")

    @property
    def incarnations_held(self) -> set[int]:
        """The incarnations of the states this process works on (more than one: Redis lost something)."""
        return {held.incarnation for held in self._held.values()}

    async def assigned(self, partition: Partition) -> int | None:
        """Take the state over, and send what its last owner left in the outbox."""
        async with self._claiming[partition.number]:
            held = await self._claim(partition)
        self._held[partition] = held
        await self._outbox.flush(partition.number, held.incarnation)
        return held.resume_at

    async def _claim(self, partition: Partition) -> Held:
        """Claim the state; create it when it never was; begin anew when it should be there and is not."""
        number, topic = partition.number, partition.topic
        incarnation = await self._incarnations.current()
        held = await self._states.claim(number, incarnation, topic=topic, create=False)
        while held is None:
            if not await self._incarnations.register(incarnation, f"join-{number}"):
                log.error("state.lost", partition=str(partition), incarnation=incarnation)
                incarnation = await self._incarnations.renew(incarnation)
                continue
            held = await self._states.claim(number, incarnation, topic=topic, create=True)
        return held

    def decode(self, record: Record) -> Searched:
        """Read a UBI query or event."""
        try:
            if record.partition.topic == SearchQuery.topic:
                return decode_query(record.value, timestamp=record.timestamp)
            return decode_event(record.value)
        except WireError as error:
            raise PoisonError(error.reason, error.explanation) from error

    async def handle(self, partition: Partition, batch: Batch[Searched]) -> Applied:
        """Join the batch and move the offset in one step, then send the outbox."""
        held = self._held[partition]
        if (
            held.done is None or batch.next_offset != held.next_offset
        ):  # else: applied already, and the bus was away
            if partition.topic == SearchQuery.topic:
                held.done = await self._take_queries(held, batch)
            else:
                held.done = await self._take_events(held, batch)
        await self._outbox.flush(partition.number, held.incarnation)
        return held.done

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; what is in Redis is for its next owner."""
        self._held.pop(partition, None)

    async def _take_queries(self, held: Held, batch: Batch[Searched]) -> Applied:
        clock = StreamClock(self._rules, held.clock)
        items = []
        refused: Counter[str] = Counter()
        for record, message in batch.messages:
            assert isinstance(message, SearchQuery)  # noqa: S101 - by its topic
            query = admit_query(message, record.timestamp, rules=self._rules, clock=clock)
            shown = query.shown
            refused["late"] += query.late
            send = not query.late and impressions(shown, self._rules) is not None
            content = orjson.dumps(tuple(shown)).decode()
            items.append((shown.query_id, content, query.mark, int(send), shown.shopper, query.hour))
        reply = await self._put_queries.apply(
            held,
            next_offset=batch.next_offset,
            items=items,
            refused=refused,
            clock=clock.now,
            keep=self._keep,
            limit=self._rules.robot_queries,
        )
        held.clock = clock.now
        return _account(reply, held.topic, len(items), refused=0)

    async def _take_events(self, held: Held, batch: Batch[Searched]) -> Applied:
        clock = StreamClock(self._rules, held.clock)
        items: list[Sequence[object]] = []
        refused: Counter[str] = Counter()
        for record, message in batch.messages:
            assert isinstance(message, SearchEvent)  # noqa: S101 - by its topic
            event = admit_event(message, record.timestamp, rules=self._rules, clock=clock)
            if isinstance(event, Refused):
                refused[event.reason] += 1
                continue
            action = orjson.dumps(tuple(event.action)).decode()
            items.append((event.query_id, event.identity, action, event.action.shopper, event.hour))
        reply = await self._put_events.apply(
            held,
            next_offset=batch.next_offset,
            items=items,
            refused=refused,
            clock=clock.now,
            keep=self._keep,
            limit=self._rules.robot_events,
        )
        held.clock = clock.now
        return _account(reply, held.topic, len(items), refused=refused.total())


def _account(reply: bytes | None, topic: str, taken: int, *, refused: int) -> Applied:
    """Return what became of the batch; one whose reply was lost on the way counts as applied."""
    if reply is None:
        return Applied(taken, refused)
    told = orjson.loads(reply)
    for outcome, number in told["tallies"].items():
        metrics.tallies.labels(topic, outcome).inc(number)
    return Applied(taken - told["no_op"], refused + told["no_op"])
