"""Both stages on a real Redis, with topics in memory: a stage on which anything can go wrong."""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.control import TrialTerms
from schemas.judgements import Judgement, Outcome
from schemas.search import Ranking, SearchEvent, SearchQuery
from schemas.trials import TrialSession
from services.judgements.domain.counts import QueryProduct, first_day
from services.judgements.domain.recount import RecountMessage, differences, recount, underived
from services.judgements.engine import Engine, build_engine
from services.judgements.outcomes import note
from services.judgements.settings import JudgementSettings, Settings
from services.lab.verification.judgements import Shopping
from services.lab.verification.trials import recounted as recounted_sessions
from services.rollout.domain.sessions import SessionFold
from shared.errors import TransientError
from shared.generations.trial import Trial
from shared.kafka.partitioning import partition_of
from shared.records import Applied, Batch, Outgoing, Partition, Record

PARTITIONS = 2
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOPICS = (SearchQuery.topic, SearchEvent.topic, Outcome.topic)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TERMS = TrialTerms(window_seconds=3600, objective={"click": 1.0, "purchase": 10.0})
TRIAL = Trial(name="t", live="g1", candidate="g2", terms=TERMS, began_at=EPOCH)


class Kill(BaseException):
    """The process is gone, here and now."""


@dataclass
class Bus:
    """Topics as lists of records: a `Publisher` whose process can be killed at each write."""

    logs: dict[Partition, list[Record]] = field(default_factory=lambda: defaultdict(list))
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    gate: Callable[[], Awaitable[None]] | None = None

    async def publish(self, messages: Iterable[Outgoing]) -> None:
        if self.gate is not None:
            await self.gate()
        for message in messages:
            self.before()
            self.write(message, NOON)
        self.after()

    def write(self, message: Outgoing, timestamp: datetime) -> None:
        partition = Partition(message.topic, partition_of(message.key or b"", PARTITIONS))
        log = self.logs[partition]
        log.append(Record(partition, len(log), message.key, message.value, timestamp))

    def send(self, message: SearchQuery | SearchEvent, written: datetime | None = None) -> None:
        self.write(Outgoing(message.topic, message.key(), message.encode()), written or message.timestamp)

    def read(self, topic: str) -> Iterator[Record]:
        for number in range(PARTITIONS):
            yield from self.logs[Partition(topic, number)]

    async def last_sequences(self, incarnation: int) -> dict[int, int]:
        """Say of each origin what the last outcomes say, as the broker is asked."""
        highest: dict[int, int] = {}
        for number in range(PARTITIONS):
            for record in self.logs[Partition(Outcome.topic, number)][-1:]:
                note(record, incarnation, highest)
        return highest

    def judgements(self) -> dict[bytes, Judgement]:
        """Return the compacted topic, as a reader of all of it sees it."""
        last: dict[bytes, Judgement] = {}
        for record in self.read(Judgement.topic):
            if record.value is None:
                last.pop(record.key, None)
            else:
                last[record.key] = Judgement.decode(record.value)
        return last


@dataclass
class ManualClock:
    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment


class LosingReplies:
    """A Redis client that sometimes does what it is told and then does not hear the answer."""

    def __init__(self, client: Redis, rng: random.Random, share: float) -> None:
        self._client, self._rng, self._share = client, rng, share

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    async def evalsha(self, *arguments: object) -> object:
        reply = await self._client.evalsha(*arguments)
        if self._rng.random() < self._share:
            raise RedisConnectionError("the reply was lost")
        return reply


class Process:
    """A worker process: it has what it was assigned, and dies when it is killed."""

    def __init__(self, redis: Redis, bus: Bus, clock: ManualClock, *, settings: Settings) -> None:
        self.bus, self.clock = bus, clock
        self.engine: Engine = build_engine(
            settings, redis, publisher=bus, clock=clock, published=bus.last_sequences
        )
        self.next: dict[Partition, int] = {}

    def handler(self, topic: str) -> object:
        return self.engine.window if topic == Outcome.topic else self.engine.join

    async def assign(self, *partitions: Partition) -> None:
        for partition in partitions or all_partitions():
            stored = await patiently(lambda at=partition: self.handler(at.topic).assigned(at))
            self.next[partition] = stored or 0

    async def step(self, partition: Partition, most: int) -> int:
        """Handle the next batch of up to `most` messages; returns how many there were."""
        start = self.next[partition]
        records = self.bus.logs[partition][start : start + most]
        if not records:
            return 0
        handler = self.handler(partition.topic)
        messages = [(record, handler.decode(record)) for record in records]
        batch = Batch(messages, start + len(records))
        done: Applied = await patiently(lambda: handler.handle(partition, batch))
        assert done.applied + done.no_op == len(records)
        self.next[partition] = batch.next_offset
        return len(records)

    async def run_dry(self, most: int = 100) -> None:
        """Handle everything there is, in both stages, and publish."""
        while sum([await self.step(partition, most) for partition in all_partitions()]):
            pass
        await patiently(self.engine.fitting.tick)
        await patiently(self.engine.ticker.tick)


def all_partitions() -> list[Partition]:
    return [Partition(topic, number) for topic in TOPICS for number in range(PARTITIONS)]


async def patiently(attempt: Callable[[], Awaitable[object]]) -> object:
    """Do what the loop does about transient errors."""
    while True:
        try:
            return await attempt()
        except TransientError:
            continue


def settings_of(namespace: str, **section: object) -> Settings:
    return Settings(namespace=namespace, partitions=PARTITIONS, judgements=JudgementSettings(**section))


def query(
    number: int, text: str, at: datetime, *, shown: Iterable[str] = (), client: str = "c1"
) -> SearchQuery:
    return SearchQuery(
        query_id=f"q{number}",
        user_query=text,
        timestamp=at,
        client_id=client,
        query_response_object_ids=tuple(shown),
    )


def event(number: int, action: str, product: str, at: datetime, **fields: object) -> SearchEvent:
    return SearchEvent(
        action_name=action,
        query_id=f"q{number}",
        timestamp=at,
        **{"client_id": "c1", **fields},
        event_attributes={"object": {"object_id": product}},
    )


def pages_of(first: SearchQuery, rng: random.Random, products: Sequence[str]) -> Iterator[SearchQuery]:
    """Yield an answer and more of its list, as it was or in another order, now and then to another client."""
    shown, page = list(first.query_response_object_ids), first
    teams = "".join(rng.choice("AB") for _ in shown)
    tried = rng.random() < 0.7
    while True:
        yield in_trial(page, teams if rng.random() < 0.9 else "") if tried else page
        if rng.random() < 0.6:
            return
        left = [product for product in products if product not in shown]
        more = rng.sample(left, min(len(left), rng.randint(0, 3)))
        if rng.random() < 0.2:
            rng.shuffle(shown)
        shown += more
        teams += "".join(rng.choice("AB") for _ in more)
        at = page.timestamp + timedelta(seconds=rng.choice([1, 30, 2000]))
        changed = {"client_id": "thief"} if rng.random() < 0.1 else {}
        page = page.model_copy(update={"timestamp": at, "query_response_object_ids": tuple(shown), **changed})


def in_trial(query: SearchQuery, teams: str) -> SearchQuery:
    """Return the query as an answer of the interleaved arm."""
    parts = [{"generation": name, "hits": len(teams)} for name in ("g1", "g2")]
    trial = {"trial": "t", "arm": "interleaved", "teams": teams, "parts": parts[: 2 if teams else 1]}
    ranking = {"generation": "g1", "fingerprint": "0" * 16, "mode": "hybrid", "trial": trial}
    return query.model_copy(update={"ranking": Ranking.model_validate(ranking)})


def fill(bus: Bus, rng: random.Random, *, queries: int = 60, now: datetime = NOON) -> None:
    """Write a day or ten of shopping: duplicates, disorder, robots, late ones, orphans, unknown actions."""
    messages: list[SearchQuery | SearchEvent] = []
    products = [f"p{number}" for number in range(8)]
    for number in range(queries):
        at = now - timedelta(days=10 * rng.random() ** 3)
        client = rng.choice(["googlebot", "busy", *(f"c{n}" for n in range(12))])
        shown = rng.sample(products, rng.randint(0, 6))
        text = rng.choice(["Red Shoes", "red  shoes", "lamp", "usb-c", " "])
        asked = query(number, text, at, shown=shown, client=client)
        deeds = [
            event(
                number if rng.random() < 0.95 else number + 10_000,
                rng.choice(["click", "click", "add_to_cart", "purchase", "impression", "brand_filter"]),
                rng.choice(products),
                at + timedelta(seconds=rng.choice([5, 60, 3600, 3 * 86400])),
                client_id=client,
                **({"event_id": f"e{number}-{n}"} if rng.random() < 0.5 else {}),
            )
            for n in range(rng.randint(0, 6))
        ]
        messages += [*pages_of(asked, rng, products), *deeds]
    messages += rng.sample(messages, len(messages) // 10)
    messages.sort(key=lambda it: it.timestamp + timedelta(hours=(rng.random() < 0.2) * rng.uniform(-48, 48)))
    for message in messages:
        bus.send(message, min(message.timestamp, now))


def written(bus: Bus) -> tuple[list[RecountMessage], list[RecountMessage]]:
    """Return the queries and the events."""
    queries = [_written(it, SearchQuery) for it in bus.read(SearchQuery.topic)]
    return queries, [_written(it, SearchEvent) for it in bus.read(SearchEvent.topic)]


def recounted(bus: Bus, settings: Settings, now: datetime) -> dict[QueryProduct, object]:
    """Return what the two topics say, without any of the machinery."""
    first = first_day((now - EPOCH).days, settings.judgements.window_days)
    return recount(*written(bus), settings.judgements.rules()).tally.window(first)


def sessions(bus: Bus, settings: Settings, now: datetime) -> dict[str, TrialSession]:
    """Return the sessions of the trial by what was joined, and fail unless the topics say the same."""
    fold = SessionFold(TRIAL, TERMS.objective)
    for record in bus.read(Outcome.topic):
        fold.take(Outcome.decode(record.value or b""))
    joined = {session.session: session for session in fold.ended(now + timedelta(days=1))}
    shopping = Shopping(PARTITIONS, *written(bus))
    rules = settings.judgements.rules()
    assert joined == recounted_sessions([TRIAL], shopping, rules, now + timedelta(days=1))[TRIAL.name]
    return joined


def _written(record: Record, kind: type[SearchQuery] | type[SearchEvent]) -> RecountMessage:
    return RecountMessage(record.partition.number, record.timestamp, kind.decode(record.value or b""))


def assert_published_is_recounted(bus: Bus, settings: Settings, now: datetime) -> None:
    expected = recounted(bus, settings, now)
    assert differences(expected, bus.judgements().values()) == []
    assert underived(bus.judgements().values(), settings.judgements.business_objective()) == []
