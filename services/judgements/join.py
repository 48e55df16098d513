"""Stage one: queries and events of one home, joined whichever comes first.

A query meets its events under the hash tag of the query id's home, `{join-<number>}`, whatever partitions
they were written to: what lies elsewhere is left to the router, and comes through the repartition topic. Each
of the four logs has its own epoch, offset and clock. A batch is one atomic script: remember queries, drop
duplicates and robots, join or let wait, append to the outbox, move the offset. Remembered queries, their
further pages, waiting events and identities expire when no event can need them any more.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta

import orjson
import structlog
from redis.asyncio import Redis

from schemas.base import MILLISECOND
from schemas.search import SearchEvent, SearchQuery
from schemas.topics import repartition_topic
from schemas.wire import WireError, decode_event, decode_query
from services.judgements import lua, metrics
from services.judgements.domain.admission import Refused, StreamClock, admit_event, admit_query
from services.judgements.domain.join import impressions
from services.judgements.domain.rules import JoinRules
from services.judgements.incarnation import Incarnations
from services.judgements.outbox import Outbox
from services.judgements.state import JudgementState, States
from shared.errors import PoisonError
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.state.fenced import FencedBatch
from shared.streaming.repartition import home_of, original

log = structlog.get_logger()

MARGIN = timedelta(days=7)
"""How long this worker may be away before what it remembers expires too early."""

Searched = SearchQuery | SearchEvent
QUERY_LOGS = (SearchQuery.topic, repartition_topic(SearchQuery.topic))
EVENT_LOGS = (SearchEvent.topic, repartition_topic(SearchEvent.topic))
LOGS = QUERY_LOGS + EVENT_LOGS


class Join:
    """The partition handler of `search.queries.v1`, `search.events.v1` and what was forwarded of them."""

    def __init__(
        self,
        redis: Redis,
        states: States,
        *,
        incarnations: Incarnations,
        outbox: Outbox,
        rules: JoinRules,
    ) -> None:
        self._states = states
        self._incarnations = incarnations
        self._outbox = outbox
        self._rules = rules
        keep = rules.longest_attribution + rules.clock_skew + rules.grace + MARGIN
        self._keep = keep // MILLISECOND
        self._held: dict[Partition, JudgementState] = {}
        self._claiming: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._put_queries = FencedBatch(redis, lua.steps("admit", "queries"))
        self._put_events = FencedBatch(redis, lua.steps("admit", "events"))

    @property
    def incarnations_held(self) -> set[int]:
        """The incarnations of the states this process works on (more than one: Redis lost something)."""
        return {held.incarnation for held in self._held.values()}

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take the state over, and send what its last owner left in the outbox."""
        async with self._claiming[partition.number]:
            held = await self._claim(partition, source)
        self._held[partition] = held
        await self._outbox.flush(held, partition.number)
        return held.next_offset

    async def _claim(self, partition: Partition, source: Log) -> JudgementState:
        """Claim the state; create it when it never was; begin anew when it should be there and is not."""
        number, topic = partition.number, partition.topic
        incarnation = await self._incarnations.current()
        if await self._went_back(incarnation):
            log.error("state.older", partition=str(partition), incarnation=incarnation)
            incarnation = await self._incarnations.renew(incarnation)
        held = await self._states.claim(number, incarnation, topic=topic, log=source, create=False)
        while held is None:
            if not await self._incarnations.register(incarnation, f"join-{number}"):
                log.error("state.lost", partition=str(partition), incarnation=incarnation)
                incarnation = await self._incarnations.renew(incarnation)
                continue
            held = await self._states.claim(number, incarnation, topic=topic, log=source, create=True)
        return held

    async def _went_back(self, incarnation: int) -> bool:
        """Whether outcomes lie on the bus that a join does not know of: Redis came back with older data."""
        published = await self._incarnations.published(incarnation)  # first: joins that work go on
        for origin, sequence in published.items():
            if await self._states.sequence(origin, incarnation) < sequence:
                return True
        return False

    def decode(self, record: Record) -> Searched | None:
        """Read a UBI query or event; None: it is at home elsewhere. Raises `PoisonError`."""
        message, at = searched(original(record)), record.partition
        return message if home_of(query_of(message), at, self._states.count) == at.number else None

    async def handle(self, partition: Partition, batch: Batch[Searched | None]) -> Applied:
        """Join the batch and move the offset in one step, then send the outbox."""
        ours = [(original(record), message) for record, message in batch.messages if message is not None]
        done = await self._join(partition, Batch(ours, batch.next_offset))
        return Applied(done.applied, done.no_op, forwarded=len(batch.messages) - len(ours))

    async def _join(self, partition: Partition, batch: Batch[Searched]) -> Applied:
        held = self._held[partition]
        if held.done is None or batch.next_offset != held.next_offset:
            # Otherwise the batch was applied already and the bus was away: only the outbox is left to do.
            if partition.topic in QUERY_LOGS:
                held.done = await self._take_queries(held, batch)
            else:
                held.done = await self._take_events(held, batch)
        await self._outbox.flush(held, partition.number)
        return held.done

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; what is in Redis is for its next owner."""
        self._held.pop(partition, None)

    async def _take_queries(self, held: JudgementState, batch: Batch[Searched]) -> Applied:
        clock = StreamClock(self._rules, held.clock)
        items = []
        refused: Counter[str] = Counter()
        for record, message in batch.messages:
            assert isinstance(message, SearchQuery)  # noqa: S101 - by its topic
            query = admit_query(message, record.timestamp, rules=self._rules, clock=clock)
            shown = query.shown
            refused["late"] += query.late
            send = not query.late and impressions([shown], self._rules) is not None
            content = orjson.dumps(tuple(shown), default=tuple).decode()  # a mark within is a tuple too
            items.append((shown.query_id, content, query.mark, int(send), query.limited, query.hour))
        reply = await self._put_queries.apply(
            held,
            next_offset=batch.next_offset,
            topic=held.topic,
            items=items,
            refused=refused,
            clock=clock.now,
            keep=self._keep,
            limit=self._rules.robot_queries,
        )
        held.clock = clock.now
        return _account(reply, held.topic, len(items), refused=0)

    async def _take_events(self, held: JudgementState, batch: Batch[Searched]) -> Applied:
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
            items.append((event.query_id, event.identity, action, event.limited, event.hour))
        reply = await self._put_events.apply(
            held,
            next_offset=batch.next_offset,
            topic=held.topic,
            items=items,
            refused=refused,
            clock=clock.now,
            keep=self._keep,
            limit=self._rules.robot_events,
        )
        held.clock = clock.now
        return _account(reply, held.topic, len(items), refused=refused.total())


def searched(record: Record) -> Searched:
    """Return the query or event that a record states; raises `PoisonError`."""
    try:
        if record.partition.topic in QUERY_LOGS:
            return decode_query(record.value, timestamp=record.timestamp)
        return decode_event(record.value)
    except WireError as error:
        raise PoisonError(error.reason, error.explanation) from error


def query_of(message: Searched) -> bytes | None:
    """Return the id of the query that a message is about."""
    return None if message.query_id is None else message.query_id.encode()


def _account(reply: bytes | None, topic: str, taken: int, *, refused: int) -> Applied:
    """Return what became of the batch; one whose reply was lost on the way counts as applied."""
    if reply is None:
        return Applied(taken, refused)
    counted = orjson.loads(reply)
    for outcome, number in counted["tallies"].items():
        metrics.tallies.labels(topic, outcome).inc(number)
    return Applied(taken - counted["no_op"], refused + counted["no_op"])
