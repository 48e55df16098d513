"""Judgements in, negatives out: on a real Redis and a real broker, killed at each step."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from math import isnan

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from redis.asyncio import Redis

from schemas.judgements import ActionStatistics, Judgement, Negative
from services.negatives import store
from services.negatives.domain.candidates import Retrieved, RetrievedProduct
from services.negatives.domain.refresh import RefreshPolicy
from services.negatives.domain.rules import MiningRules
from services.negatives.evidence import EvidenceHandler, published_negatives
from services.negatives.miner import LiveIndex, Miner
from services.negatives.settings import Settings
from services.negatives.store import EvidenceStore
from shared.clock import SystemClock
from shared.cluster.miner import MINER
from shared.errors import FencedError, PoisonError, TransientError
from shared.infrastructure import topics
from shared.kafka.compacted import CompactedTopic
from shared.kafka.partitioning import partition_of
from shared.kafka.publisher import KafkaPublisher
from shared.records import Batch, Outgoing, Partition, Record
from shared.relevance.judge import UNTAUGHT_JUDGES, teaches_miner
from shared.relevance.learning import LEAST
from shared.streaming.loop import PartitionLoop, Subscription

pytestmark = pytest.mark.connected
PARTITIONS = 2
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = MiningRules(number=4, likely=1.0, margin=0.9, hard=0.8, medium=0.6)
UPKEEP = RefreshPolicy(records=100, every=timedelta(hours=1))
PATIENCE = 60
SCORES = {"best": 0.9, "b": 0.7, "c": 0.6, "d": 0.5, "e": 0.3, "twin": 0.89}


class Kill(BaseException):
    """The process is gone, here and now."""


@dataclass
class FakeIndex:
    """Ranks the same products for every query."""

    model: str = "3f1c9a7be0d24c68"
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    async def live(self):
        return LiveIndex("g1", self.model)

    async def retrieve(self, query, wanted):
        self.asked.append(query)
        if query in self.failing:
            raise TransientError("a shard did not answer")
        found = tuple(
            RetrievedProduct(product_id=name, dense=it, lexical=None) for name, it in SCORES.items()
        )
        scores = {name: SCORES[name] for name in wanted.positives if name in SCORES}
        return Retrieved(generation="g1", fingerprint=self.model, hits=found, scores=scores, identities=())


@dataclass
class FakeRecords:
    """The log of index records."""

    number: int = 0

    async def written(self, generation):
        assert generation == "g1"
        return self.number


@dataclass
class ManualClock:
    moment: datetime = NOON

    def now(self):
        return self.moment


@dataclass
class Bus:
    """The negatives' topic as a list; whoever writes may be killed before, or after."""

    written: list[Outgoing] = field(default_factory=list)
    before: bool = False
    after: bool = False
    meanwhile: list = field(default_factory=list)

    async def publish(self, messages):
        if self.before:
            raise Kill
        while self.meanwhile:
            await self.meanwhile.pop()()
        self.written.extend(messages)
        if self.after:
            raise Kill

    def negatives(self):
        last = {message.key: message.value for message in self.written}
        return {key.decode(): Negative.decode(value) for key, value in last.items() if value is not None}


@dataclass
class Process:
    """A worker process without the bus around it."""

    store: EvidenceStore
    bus: Bus
    index: FakeIndex
    clock: ManualClock
    next: dict[int, int] = field(default_factory=dict)
    records: FakeRecords = field(default_factory=FakeRecords)

    def __post_init__(self):
        self.evidence = EvidenceHandler(
            self.store, objective=RULES.objective, clock=self.clock, published=self._published
        )
        self.miner = Miner(self.evidence, self.store, self.index, publisher=self.bus, clock=self.clock)

    async def _published(self):
        return [(it.query, it.product_id) for it in self.bus.negatives().values()]

    async def assign(self):
        for number in range(PARTITIONS):
            self.next[number] = await self.evidence.assigned(Partition(Judgement.topic, number)) or 0

    async def judged(self, *told):
        """Hand over judgements, each as the record that it is on the topic."""
        for key, value in told:
            at = Partition(Judgement.topic, partition_of(key or b"", PARTITIONS))
            record = Record(at, self.next[at.number], key, value, self.clock.moment)
            self.next[at.number] += 1
            await self.evidence.handle(
                at, Batch([(record, self.evidence.decode(record))], self.next[at.number])
            )

    async def watch(self, upkeep=UPKEEP):
        await self.miner.watch(RULES, upkeep, self.records)

    async def mine(self, limit=10, settle=timedelta(0)):
        await self.miner.tick(RULES, settle=settle, limit=limit)


def judgement(query, product, clicks, *, expected=1.0, grade=None, at=NOON):
    found = Judgement(
        query=query,
        product_id=product,
        window_start=NOON.date(),
        window_end=NOON.date(),
        impressions=9,
        shoppers=1,
        actions={"click": ActionStatistics(count=clicks, expected=expected)},
        value=1.0,
        grade=(2.8 if clicks else 0.4) if grade is None else grade,
        updated_at=at,
    )
    return found.key(), found.encode()


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def start(redis, namespace):
    clock, bus, index = ManualClock(), Bus(), FakeIndex()

    async def begin():
        process = Process(EvidenceStore(redis, namespace=namespace, partitions=PARTITIONS), bus, index, clock)
        await process.assign()
        return process

    return begin


def products(process, query="shoe"):
    found = process.bus.negatives().values()
    return [it.product_id for it in sorted(found, key=lambda it: it.rank) if it.query == query]


async def test_judgements_of_all_partitions_become_negatives_of_one_query(start):
    process = await start()
    told = [judgement("shoe", name, clicks) for name, clicks in (("best", 5), ("b", 1), ("d", 0))]
    told += [judgement("shoe", f"other{number}", 1) for number in range(6)]
    assert {partition_of(key, PARTITIONS) for key, _ in told} == {0, 1}
    await process.judged(*told, judgement("shoe", "c", 0, expected=6.0), judgement("lamp", "b", 1))
    await process.mine()
    assert products(process) == ["c", "d", "e"]
    found = process.bus.negatives()
    assert (found["shoe\tc"].skipped, found["shoe\td"].skipped) == (True, False)
    assert (found["shoe\tc"].positive_score, found["shoe\tc"].fingerprint) == (0.9, process.index.model)
    assert products(process, "lamp") == []
    assert process.index.asked == ["shoe"]


async def test_what_says_the_same_again_is_not_mined_again(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    await process.mine()
    before = len(process.bus.written)
    await process.judged(judgement("shoe", "best", 5))
    await process.mine()
    assert len(process.bus.written) == before


async def test_a_negative_that_shoppers_begin_to_like_gets_a_tombstone(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    await process.mine()
    assert products(process) == ["b", "c", "d", "e"]
    await process.judged(judgement("shoe", "c", 3))
    await process.mine()
    assert products(process) == ["d", "e"]  # and `b` is now too close to the weakest positive
    assert [it.key for it in process.bus.written if it.value is None] == [b"shoe\tc", b"shoe\tb"]


async def test_a_query_that_has_lost_its_positive_has_no_negatives(start):
    process = await start()
    key, value = judgement("shoe", "best", 5)
    await process.judged((key, value))
    await process.mine()
    await process.judged((key, None))
    await process.mine()
    assert process.bus.negatives() == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_miner_killed_while_it_publishes_publishes_once_more(start, moment):
    first = await start()
    await first.judged(judgement("shoe", "best", 5))
    setattr(first.bus, moment, True)
    with pytest.raises(Kill):
        await first.mine()
    setattr(first.bus, moment, False)
    second = await start()
    await second.judged(judgement("shoe", "c", 3))  # what was published meanwhile is known, and taken back
    await second.mine()
    assert products(second) == ["d", "e"]
    written = len(second.bus.written)
    await second.mine()
    assert len(second.bus.written) == written


LATER = NOON + timedelta(hours=1)
LOOKED_AT = (("b", 0, 5.0), ("c", 2, 5.0), ("d", 0, 2.9), ("e", 1, 0.5))
"""Product, clicks and expected clicks, an hour after it was mined: two were looked at enough."""


def withdrawn(reason):
    return REGISTRY.get_sample_value("headrace_negatives_withdrawn_total", {"reason": reason}) or 0


async def looked_at(process):
    process.clock.moment = LATER
    told = [
        judgement("shoe", name, clicks, expected=expected, grade=0.4, at=LATER)
        for name, clicks, expected in LOOKED_AT
    ]
    await process.judged(*told)


async def test_a_negative_that_shoppers_act_upon_is_taken_back_at_once_and_without_the_index(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5), judgement("lamp", "best", 5))
    await process.mine()
    asked, before = list(process.index.asked), withdrawn("engaged")
    process.index.failing.update(("shoe", "lamp"))
    await process.judged(judgement("shoe", "c", 1), judgement("shoe", "other", 1), judgement("lamp", "x", 0))
    await process.mine(settle=timedelta(hours=1))
    assert products(process) == ["b", "d", "e"]
    assert products(process, "lamp") == ["b", "c", "d", "e"]
    assert process.index.asked == asked
    assert withdrawn("engaged") == before + 1
    written = len(process.bus.written)
    await process.judged(judgement("shoe", "c", 2))
    await process.mine(settle=timedelta(hours=1))
    assert (len(process.bus.written), withdrawn("engaged")) == (written, before + 1)


async def test_what_is_taken_back_is_counted_by_the_reason(start, monkeypatch):
    process = await start()
    key, value = judgement("shoe", "best", 5)
    await process.judged((key, value))
    await process.mine()
    before = {reason: withdrawn(reason) for reason in ("relevant", "replaced", "no_positive")}
    await process.judged(judgement("shoe", "e", 0, grade=1.2), judgement("shoe", "twin", 5))
    monkeypatch.setitem(SCORES, "b", 0.88)  # too close from now on
    await process.mine()
    await process.judged((key, None), (b"shoe\ttwin", None))
    await process.mine()
    gained = {reason: withdrawn(reason) - number for reason, number in before.items()}
    assert gained == {"relevant": 1, "replaced": 1, "no_positive": 2}


async def test_precision_is_the_share_of_what_was_looked_at_enough_since_it_was_mined(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5), judgement("shoe", "d", 0, expected=9.0))
    await process.mine()
    assert await process.store.precision() == (0, 0)
    assert isnan(REGISTRY.get_sample_value("headrace_negatives_precision"))
    await looked_at(process)
    for _ in range(2):  # the second one changes nothing
        await process.mine()
        assert await process.store.precision() == (2, 1)
        assert REGISTRY.get_sample_value("headrace_negatives_precision") == 0.5
        assert REGISTRY.get_sample_value("headrace_negatives_looked_at") == 2
    await process.judged(*((f"shoe\t{name}".encode(), None) for name, _, _ in LOOKED_AT))
    await process.mine()
    assert await process.store.precision() == (0, 0)


@pytest.mark.parametrize(
    ("phase", "moment"),
    [
        ("mined", "before"),
        ("mined", "after"),
        ("mined", "forget"),
        ("withdrawn", "before"),
        ("withdrawn", "after"),
        ("withdrawn", "forget_acted"),
        ("mined again", "before"),
        ("mined again", "after"),
        ("mined again", "forget"),
    ],
)
async def test_a_miner_killed_between_prepare_publish_and_commit_counts_what_a_living_one_counts(
    start, phase, moment
):
    process = await start()

    async def mine(current, settle=timedelta(0)):
        if current != phase:
            await process.mine(settle=settle)
            return process
        if moment in {"before", "after"}:
            setattr(process.bus, moment, True)
        else:
            setattr(process.store, moment, killed)
        with pytest.raises(Kill):
            await process.mine(settle=settle)
        process.bus.before = process.bus.after = False
        successor = await start()
        await successor.mine(settle=settle)
        return successor

    await process.judged(judgement("shoe", "best", 5))
    process = await mine("mined")
    assert products(process) == ["b", "c", "d", "e"]
    await looked_at(process)
    process = await mine("withdrawn", timedelta(hours=1))
    assert products(process) == ["b", "d"]
    process = await mine("mined again")
    assert products(process) == ["b", "d"]
    assert await process.store.precision() == (2, 1)


async def killed(*_):
    raise Kill


async def test_after_redis_was_emptied_precision_begins_anew(start, redis, namespace):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    await process.mine()
    await looked_at(process)
    async for key in redis.scan_iter(match=f"{namespace}:*"):
        await redis.delete(key)
    again = await start()
    await again.mine()  # before anything is read again
    await again.judged(judgement("shoe", "best", 5))
    await looked_at(again)
    await again.mine()
    assert await again.store.precision() == (0, 0)


async def test_what_moves_while_a_query_is_mined_is_mined_again(start):
    process = await start()
    key, value = judgement("shoe", "best", 5)
    await process.judged((key, value))
    process.bus.meanwhile.append(partial(process.judged, (key, None)))
    await process.mine()
    assert products(process) == ["b", "c", "d", "e"]
    await process.mine()
    assert products(process) == []


@pytest.mark.parametrize(
    "record", [(b"no tab", b"{}"), (b"shoe\tb", b"{"), (b"shoe\tb", b"{}"), (None, None)]
)
async def test_what_is_no_judgement_is_poison(start, record):
    process = await start()
    with pytest.raises(PoisonError):
        await process.judged(record)


async def test_a_miner_that_lost_the_partition_makes_its_query_be_mined_again(start):
    zombie = await start()
    await zombie.judged(judgement("shoe", "best", 5))
    successor = []

    async def taken_over():
        successor.append(await start())
        await successor[0].judged(judgement("shoe", "c", 3))
        await successor[0].mine()
        assert products(successor[0]) == ["d", "e"]

    zombie.bus.meanwhile.append(taken_over)
    with pytest.raises(FencedError):
        await zombie.mine()
    assert products(zombie) == ["b", "c", "d", "e"]
    await successor[0].mine()
    assert products(successor[0]) == ["d", "e"]


async def test_a_query_that_cannot_be_mined_now_lets_the_others_pass(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    process.clock.moment += timedelta(seconds=1)
    await process.judged(judgement("lamp", "best", 5))
    process.index.failing.add("shoe")
    process.clock.moment += timedelta(seconds=1)
    with pytest.raises(TransientError):
        await process.mine(limit=1)
    await process.mine(limit=1)
    assert (products(process), len(products(process, "lamp"))) == ([], 4)
    process.index.failing.clear()
    await process.mine(limit=1)
    assert len(products(process)) == 4


async def test_another_model_has_every_query_mined_again_by_whoever_is_there(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    await process.watch()
    await process.mine()
    process.index.model = "0123456789abcdef"
    again = await start()
    await again.mine()
    assert {it.fingerprint for it in again.bus.negatives().values()} == {"3f1c9a7be0d24c68"}
    await again.watch()
    await again.mine()
    assert {it.fingerprint for it in again.bus.negatives().values()} == {"0123456789abcdef"}
    written = len(again.bus.written)
    await again.watch()
    await again.mine()
    assert len(again.bus.written) == written


async def mine_all(process):
    while await process.store.waiting():
        await process.mine(limit=100)


async def test_a_shop_teaches_its_own_judge_and_every_query_is_mined_again_by_it(start):
    teaching = [query for number in range(80) if teaches_miner(query := f"shoe {number}")][:LEAST]
    process = await start()
    await process.watch()
    await process.judged(
        *(judgement(query, name, 5) for query in teaching[:-1] for name in ("best", "b")),
        judgement("lamp", "best", 5),
    )
    await mine_all(process)
    await process.watch()
    assert process.evidence.states[MINER].judges == UNTAUGHT_JUDGES
    assert await process.store.waiting() == 0

    await process.judged(judgement(teaching[-1], "best", 5))
    await mine_all(process)
    await process.watch()
    judges = process.evidence.states[MINER].judges
    assert (judges.queries, judges.loss <= judges.cosine_loss) == (LEAST, True)
    assert len(await process.store.due(process.clock.now(), 100)) == LEAST + 1
    assert judges.whole.likelihood(1.0, 1.0) > 0.5 > judges.whole.likelihood(0.3, 1.0)
    again = await start()
    assert again.evidence.states[MINER].judges == judges
    await mine_all(again)
    await again.watch()
    assert await again.store.waiting() == 0


async def test_a_query_that_has_lost_its_positive_teaches_no_more(start):
    query = next(query for number in range(9) if teaches_miner(query := f"shoe {number}"))
    process = await start()
    await process.judged(judgement(query, "best", 5))
    await process.mine()
    assert await process.store.teachers() == 1
    await process.judged(judgement(query, "best", 0))
    await process.mine()
    assert await process.store.teachers() == 0


async def test_a_catalogue_that_changed_a_lot_has_every_query_mined_again_but_not_all_the_time(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))

    async def asked(after, written):
        process.clock.moment += after
        process.records.number = written
        before = len(process.index.asked)
        await process.watch()
        await process.mine()
        return len(process.index.asked) > before

    assert await asked(timedelta(0), 40)
    assert not await asked(timedelta(hours=2), 49)  # less than a quarter more
    assert await asked(timedelta(hours=2), 50)
    assert not await asked(timedelta(minutes=59), 500)
    process = await start()  # another worker remembers
    assert await asked(timedelta(minutes=1), 500)
    assert not await asked(timedelta(hours=2), 599)
    assert await asked(timedelta(hours=2), 600)
    assert not await asked(timedelta(hours=2), 0)  # the broker does not say


async def test_what_is_right_together_for_another_query_is_no_negative(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    await process.mine()
    assert products(process) == ["b", "c", "d", "e"]
    await process.judged(judgement("boot", "best", 5), judgement("boot", "d", 4))
    await process.mine()  # and `shoe` is marked, because `boot` shares a positive with it
    await process.mine()
    assert products(process) == ["b", "c", "e"]
    assert not {"best", "d"} & set(products(process, "boot"))
    await process.judged(judgement("boot", "d", 0))  # it is not right for `boot` any more
    await process.mine()
    await process.mine()
    assert products(process) == ["b", "c", "d", "e"]
    asked = len(process.index.asked)
    await process.mine()
    assert len(process.index.asked) == asked


async def test_a_query_of_many_things_does_not_say_that_they_belong_together(start):
    process = await start()
    await process.judged(judgement("shoe", "best", 5))
    many = [judgement("gift", f"thing{number}", 5) for number in range(RULES.co_positive_limit - 1)]
    await process.judged(*many, judgement("gift", "best", 5))
    await process.mine()
    await process.judged(judgement("gift", "d", 5))  # one too many
    await process.mine()
    await process.mine()
    assert products(process) == ["b", "c", "d", "e"]


async def test_what_everybody_takes_does_not_say_what_belongs_together(start, monkeypatch):
    monkeypatch.setattr(store, "HUB", 2)
    process = await start()
    for query in ("shoe", "boot", "sock", "lace"):
        await process.judged(judgement(query, "best", 5), judgement(query, f"{query}-1", 5))
    await process.judged(judgement("boot", "d", 5))
    await process.mine()
    await process.mine()
    assert "d" in products(process)


async def test_after_redis_was_emptied_what_was_published_can_be_taken_back(start, redis, namespace):
    process = await start()
    told = judgement("shoe", "best", 5)
    await process.judged(told)
    await process.mine()
    async for key in redis.scan_iter(match=f"{namespace}:*"):
        await redis.delete(key)
    again = await start()
    assert set(again.next.values()) == {0}
    await again.judged(told, judgement("shoe", "c", 3))
    await again.mine()
    assert products(again) == ["d", "e"]


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace):
    chosen = Settings(
        kafka=kafka,
        redis=SecretStr(redis_url),
        topic_prefix=topic_prefix,
        namespace=namespace,
        partitions=PARTITIONS,
    )
    await topics.apply(chosen, wait=timedelta(seconds=20))
    return chosen


async def test_it_reads_from_a_broker_and_writes_to_it(settings, redis, namespace):
    publisher, clock = KafkaPublisher(settings), SystemClock()
    state = EvidenceStore(redis, namespace=namespace, partitions=PARTITIONS)
    known = EvidenceHandler(
        state, objective=RULES.objective, clock=clock, published=partial(published_negatives, settings)
    )
    miner = Miner(known, state, FakeIndex(), publisher=publisher, clock=clock)
    subscription = Subscription(name="negatives", topics=(Judgement.topic,))
    loop = PartitionLoop(settings, known, subscription=subscription, publisher=publisher, clock=clock)
    negatives = CompactedTopic(settings, Negative.topic)
    parts = (publisher, negatives, loop)
    for part in parts:
        await part.start()
    try:
        for told, expected in (
            ((("best", 5), ("b", 1), ("d", 0)), {b"shoe\tc", b"shoe\td", b"shoe\te"}),
            ((("c", 3),), {b"shoe\td", b"shoe\te"}),
        ):
            await publisher.publish(
                [Outgoing(Judgement.topic, *judgement("shoe", name, clicks)) for name, clicks in told]
            )
            deadline = time.monotonic() + PATIENCE
            while negatives.items.keys() != expected:
                assert time.monotonic() < deadline, negatives.items.keys()
                await miner.tick(RULES, settle=timedelta(0), limit=10)
                await asyncio.sleep(0.2)
    finally:
        for part in reversed(parts):
            await part.stop()
