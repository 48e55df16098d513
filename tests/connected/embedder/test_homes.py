"""Two logs feed one home: whatever partition its changes came through, it is one product."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from random import Random
from typing import Any
from zlib import crc32

import orjson
import pytest
from msgspec.structs import asdict
from redis.asyncio import Redis

from schemas.base import MILLISECOND, Coordinates, milliseconds
from schemas.catalogue import ProductChange, StampedChange
from schemas.index import IndexRecord
from services.embedder.domain.recovery import APPLIED
from services.embedder.home import LOGS
from services.embedder.routing import describe
from shared.catalogue.acceptances import NONE, Acceptances, Accepted
from shared.catalogue.changes import ChangeReader
from shared.clock import SystemClock
from shared.errors import RewindError, TransientError
from shared.kafka.partitioning import partition_of
from shared.records import Applied, Batch, Outgoing, Partition, Record
from shared.streaming.repartition import original
from shared.streaming.router import RepartitionRouter, Routes
from shared.testing.fenced import DictHash
from shared.testing.publisher import MemoryPublisher

from .conftest import FORWARDED, PARTITION, START, Bench, Bus, batch, change
from .test_crashes import assert_nothing_goes_back, assert_records_say, random_change

pytestmark = pytest.mark.connected
CHANGES, REPARTITION = LOGS
HOMES = 2
MANY = [f"P-{number}" for number in range(16)]
"""So many that a product is often patched before it is written."""
Forget = Callable[[], Awaitable[None]]
PARTITIONERS: Sequence[Callable[[bytes, int, Random], int]] = (
    lambda key, partitions, _: partition_of(key, partitions),
    lambda key, partitions, _: crc32(key) % partitions,
    lambda _, partitions, rng: rng.randrange(partitions),
)


def plain(change: ProductChange) -> bytes:
    """Return the message that states a change."""
    fields = {name: value for name, value in asdict(change).items() if name in ProductChange.model_fields}
    return ProductChange.model_validate(fields).encode()


class Stop(BaseException):
    """The process is gone, here and now."""


class Topics(MemoryPublisher):
    """Logs in memory; a publish may stop the process after some of its messages."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.rng = rng
        self.logs: defaultdict[Partition, list[Record]] = defaultdict(list)
        self.partitions = HOMES
        self.now = START
        """The broker's time: a millisecond later with each message."""

    def produce(self, change: ProductChange) -> None:
        """Write a change as one of several producers does."""
        partitioner = self.rng.choice(PARTITIONERS)
        number = partitioner(change.product_id.encode(), self.partitions, self.rng)
        key = self.rng.choice([change.product_id.encode(), None, b'{"id":"%s"}' % change.product_id.encode()])
        self.append(Outgoing(CHANGES, key, plain(change), partition=number))

    def append(self, message: Outgoing) -> None:
        assert message.partition is not None
        at = Partition(message.topic, message.partition)
        log = self.logs[at]
        self.now += MILLISECOND
        log.append(Record(at, len(log), message.key, message.value, self.now, message.headers))

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        stop = self.rng.randint(0, len(messages)) if self.rng.random() < 0.1 else None
        for message in messages[:stop]:
            self.append(message)
        if stop is not None:
            raise Stop


class Sources:
    """The `AcceptedSources` of logs in memory."""

    def __init__(self, topics: Topics) -> None:
        self.known: Acceptances = NONE
        self._topics = topics

    def accept(self, source: str, since: datetime) -> None:
        self.known |= {Accepted(source, milliseconds(since))}

    async def offset_at(self, partition: Partition, moment: int) -> int | None:
        log = self._topics.logs[partition]
        return next((record.offset for record in log if milliseconds(record.timestamp) >= moment), None)


class Installation:
    """A router and embedders of generations over the same topics; each may be gone at any moment."""

    def __init__(self, bench: Bench, rng: Random, candidate: Bench | None = None) -> None:
        self.bench, self.rng = bench, rng
        self.topics = Topics(rng)
        self.states = DictHash(count(1).__next__)
        self.sources = Sources(self.topics)
        for one in (bench, candidate):
            if one is not None:
                one.sources = self.sources
        self.to_rewind: set[tuple[str, Partition]] = set()
        self.places: dict[tuple[str, Partition], int] = {}
        self.new: dict[str, Callable[[], Any]] = {
            "router": self.new_router,
            "embedder": lambda: bench.handler(homes=HOMES),
        }
        if candidate is not None:
            self.new["candidate"] = lambda: candidate.handler(source=bench.bus, homes=HOMES)
        self.running = {"router": self.new["router"](), "embedder": self.new["embedder"]()}

    def new_router(self) -> RepartitionRouter:
        routes = Routes({CHANGES: describe}, HOMES, "n")
        return RepartitionRouter(self.states, self.topics, routes=routes, clock=SystemClock())

    async def step(self, who: str, at: Partition) -> int:
        """Read on for one of them; returns how many messages there were."""
        handler = self.running[who]
        if (who, at) in self.to_rewind and self.rng.random() < 0.5:
            self.to_rewind.discard((who, at))
            self.places.pop((who, at), None)
        if (who, at) not in self.places:
            with suppress(TransientError):  # the loop tries again
                self.places[who, at] = await handler.assigned(at) or 0
            return 1
        first = self.places[who, at]
        records = self.topics.logs[at][first : first + self.rng.randint(1, 4)]
        if not records:
            return int((who, at) in self.to_rewind)
        messages = [(record, handler.decode(record)) for record in records]
        try:
            done = await handler.handle(at, Batch(messages, first + len(records)))
        except RewindError:
            del self.places[who, at]
            return 1
        except (Stop, TransientError):
            self.kill(who)
            return 1
        assert done.total == len(records)
        self.places[who, at] = first + len(records)
        return len(records)

    def kill(self, who: str) -> None:
        """End one, and start it again; a generation that was not there is begun."""
        self.places = {place: offset for place, offset in self.places.items() if place[0] != who}
        self.running[who] = self.new[who]()

    def accept(self, source: str) -> None:
        """Let a source count from a moment on; those who read go back sooner or later."""
        elapsed = (self.topics.now - START) // MILLISECOND
        self.sources.accept(source, START + self.rng.randint(0, elapsed) * MILLISECOND)
        self.to_rewind |= {place for place in self.places if place[0] != "router"}

    def written(self) -> list[StampedChange]:
        """Return the changes that producers wrote, partition by partition."""
        logs = [log for at, log in self.topics.logs.items() if at.topic == CHANGES]
        reader = ChangeReader(acceptances=self.sources.known)
        return [reader.read(record).change for log in logs for record in log]

    def readings(self) -> list[tuple[str, Partition]]:
        router = [("router", Partition(CHANGES, number)) for number in range(self.topics.partitions)]
        embedders = self.running.keys() - {"router"}
        homes = [Partition(log, number) for log in LOGS for number in range(HOMES)]
        return [*router, *((who, at) for who in sorted(embedders) for at in homes)]

    async def settle(self) -> None:
        """Let everything that is left be read."""
        self.topics.rng = self.rng = Random("no more faults")
        self.topics.publish = super(Topics, self.topics).publish  # type: ignore[method-assign]  # it stays up
        while sum([await self.step(*reading) for reading in self.readings()]):
            self._collect()

    def _collect(self) -> None:
        for message in self.topics.messages:
            self.topics.append(message)
        self.topics.messages.clear()


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_partitions_producers_choose_and_whatever_is_killed_the_records_say_the_truth(
    bench: Bench, forget: Forget, seed: int
) -> None:
    rng = Random(f"homes {seed}")
    installation = Installation(bench, rng)
    log = [random_change(rng, MANY) for _ in range(60)]
    waiting = list(log)
    while waiting:
        dice = rng.random()
        if dice < 0.4:
            installation.topics.produce(waiting.pop(0))
        elif dice < 0.42 and rng.random() < 0.5:
            installation.accept("version")
        elif dice < 0.42:
            installation.topics.partitions = rng.randint(installation.topics.partitions, 5)
        elif dice < 0.46:
            await forget()
        elif dice < 0.5:
            installation.kill(rng.choice(["router", "embedder"]))
        else:
            bench.bus.survive = set(rng.sample(range(4), 2)) if rng.random() < 0.1 else None
            await installation.step(*rng.choice(installation.readings()))
    bench.bus.survive = None
    await installation.settle()
    assert_records_say(bench.bus, installation.written())
    assert_nothing_goes_back(bench.bus)
    assert {message.partition for message in bench.bus.log if message.key == b"P-1"} <= {
        partition_of(b"P-1", HOMES)
    }


@pytest.mark.parametrize("seed", range(12))
async def test_a_generation_that_is_built_meanwhile_says_the_same(
    bench: Bench, candidate: Bench, forget: Forget, seed: int
) -> None:
    """It begins with the records of the other one, at any moment, and goes on with both logs."""
    rng = Random(f"candidate {seed}")
    installation = Installation(bench, rng, candidate)
    waiting = [random_change(rng, MANY) for _ in range(60)]
    begin = rng.randrange(60)
    while waiting:
        dice = rng.random()
        if dice < 0.4:
            installation.topics.produce(waiting.pop(0))
            if len(waiting) == begin:
                installation.kill("candidate")
        elif dice < 0.41:
            installation.accept("version")
        elif dice < 0.44:
            await forget()
        elif dice < 0.5:
            installation.kill(rng.choice(sorted(installation.running)))
        else:
            candidate.bus.survive = set(rng.sample(range(4), 2)) if rng.random() < 0.1 else None
            await installation.step(*rng.choice(installation.readings()))
    candidate.bus.survive = None
    await installation.settle()
    for bus in (bench.bus, candidate.bus):
        assert_records_say(bus, installation.written())
        assert_nothing_goes_back(bus)


async def test_both_logs_of_a_home_are_held_under_one_epoch_with_an_offset_each(bench: Bench) -> None:
    handler = bench.handler()
    assert await handler.assigned(PARTITION) is None
    assert await handler.assigned(FORWARDED) is None
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp")))
    await handler.handle(FORWARDED, batch(7, change("p", "patch", 2, price=1), at=FORWARDED))
    first, second = bench.bus.records
    assert first.epoch == second.epoch
    assert second.document.fields == {"title": "lamp", "price": 1}
    successor = bench.handler()
    assert await successor.assigned(FORWARDED) == 8
    assert await successor.assigned(PARTITION) == 1


async def test_a_record_names_what_was_applied_of_both_logs_before_its_batch(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.assigned(FORWARDED)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp")))
    await handler.handle(FORWARDED, batch(3, change("p", "patch", 2, price=1), at=FORWARDED))
    await handler.handle(PARTITION, batch(1, change("q", "upsert", 1, title="rug")))
    applied = [dict(message.headers)[APPLIED] for message in bench.bus.log]
    assert [orjson.loads(of) for of in applied] == [
        {},
        {CHANGES: [1, ""]},
        {CHANGES: [1, ""], REPARTITION: [4, ""]},
    ]


async def test_a_change_keeps_the_coordinates_of_where_its_producer_wrote_it(bench: Bench) -> None:
    value = b'{"product_id":"p","op":"upsert","fields":{"title":"lamp"}}'
    written = Record(Partition(CHANGES, 9), 4711, None, value, START)
    topics = Topics(Random(0))
    router = RepartitionRouter(
        DictHash(count(1).__next__), topics, routes=Routes({CHANGES: describe}, 1, "n"), clock=SystemClock()
    )
    await router.assigned(written.partition)
    topics.rng = Random(1)
    assert (
        await router.handle(written.partition, Batch([(written, router.decode(written))], 4712))
    ).forwarded == 1
    [forwarded] = topics.logs[FORWARDED]
    assert original(forwarded) == written
    handler = bench.handler()
    await handler.assigned(FORWARDED)
    await handler.handle(FORWARDED, Batch([(forwarded, handler.decode(forwarded))], 1))
    assert bench.bus.records[0].source == Coordinates(topic=CHANGES, partition=9, offset=4711)


async def test_what_is_at_home_elsewhere_is_left_to_whoever_reads_there(bench: Bench) -> None:
    handler = bench.handler(homes=2)
    elsewhere = next(name for name in map("P-{}".format, count()) if partition_of(name.encode(), 2) == 1)
    record = Record(PARTITION, 0, b"k", plain(change(elsewhere, "upsert", 1, title="lamp")), START)
    assert handler.decode(record) is None
    await handler.assigned(PARTITION)
    assert await handler.handle(PARTITION, Batch([(record, None)], 1)) == Applied(0, 0, forwarded=1)
    assert bench.bus.log == []
    assert await bench.handler().assigned(PARTITION) == 1


async def test_a_patch_of_a_product_that_nobody_wrote_publishes_nothing_and_is_not_forgotten(
    bench: Bench,
) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    assert await handler.handle(PARTITION, batch(0, change("p", "patch", 5, price=9))) == Applied(1)
    assert bench.bus.log == []
    await handler.handle(PARTITION, batch(1, change("p", "upsert", 1, title="lamp", price=1)))
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 9}


async def test_a_patch_that_was_not_published_is_read_again_when_redis_is_lost(
    bench: Bench, forget: Forget
) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("q", "upsert", 1, title="rug")))
    await handler.handle(PARTITION, batch(1, change("p", "patch", 5, price=9)))
    await handler.handle(PARTITION, batch(2, change("q", "patch", 2, price=2)))
    await forget()
    assert await bench.handler().assigned(PARTITION) == 1


async def test_once_the_product_is_written_its_patch_holds_nothing_back(bench: Bench, forget: Forget) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "patch", 5, price=9)))
    await handler.handle(PARTITION, batch(1, change("p", "upsert", 1, title="lamp")))
    await handler.handle(PARTITION, batch(2, change("q", "upsert", 1, title="rug")))
    await forget()
    assert await bench.handler().assigned(PARTITION) == 2


async def test_the_reader_of_the_other_log_is_sent_back_too_when_redis_was_emptied(
    bench: Bench, forget: Forget
) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.assigned(FORWARDED)
    await handler.handle(PARTITION, batch(0, change("p", "patch", 5, price=9)))
    await forget()
    with pytest.raises(RewindError):
        await handler.handle(FORWARDED, batch(0, change("q", "upsert", 1, title="rug"), at=FORWARDED))
    assert await handler.assigned(FORWARDED) is None
    with pytest.raises(RewindError):
        await handler.handle(PARTITION, batch(1, change("p", "upsert", 1, title="lamp")))
    assert await handler.assigned(PARTITION) is None


# What an earlier version left


def older(bus: Bus, number: int, offset: int, epoch: int, document: ProductChange, start: int) -> None:
    """Publish a record as layout 1 did: for the partition of the changes that the change came through."""
    record = IndexRecord.model_validate(
        {
            "product_id": document.product_id,
            "document": {
                "fields": document.fields,
                "versions": dict.fromkeys(document.fields, document.version),
                "upserted": document.version if document.op == "upsert" else -1,
            },
            "fingerprint": "f" * 16,
            "dimensions": 32,
            "source": Coordinates(topic=CHANGES, partition=number, offset=offset),
            "epoch": epoch,
            "event_time": START,
        }
    )
    headers = (("headrace.batch_start", str(start).encode()),)
    bus.log.append(Outgoing("index.records.g1", record.key(), record.encode(), headers, partition=0))


async def test_a_product_that_was_kept_in_two_halves_is_made_whole_and_published(bench: Bench) -> None:
    older(bench.bus, 0, 4, 70, change("p", "upsert", 1, title="lamp", price=1), start=3)
    older(bench.bus, 5, 9, 3, change("p", "patch", 2, price=2), start=8)
    handler = bench.handler()
    assert await handler.assigned(PARTITION) is None, "all changes are read again"
    assert await handler.assigned(FORWARDED) is None
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 2}
    assert not bench.bus.latest["p"].deleted
    assert len(bench.bus.log) == 3


async def test_a_product_that_was_whole_is_not_published_again(bench: Bench) -> None:
    older(bench.bus, 0, 4, 70, change("p", "upsert", 1, title="lamp", price=1), start=3)
    older(bench.bus, 0, 5, 70, change("p", "upsert", 2, title="lamp", price=2), start=5)
    assert await bench.handler().assigned(PARTITION) is None
    assert len(bench.bus.log) == 2


async def test_the_state_of_layout_1_is_removed(bench: Bench, redis: Redis, namespace: str) -> None:
    prefix = f"{namespace}:{{g1:{PARTITION}}}:"
    await redis.hset(f"{prefix}state", mapping={"epoch": 7, "next_offset": 3, "products": 1, "layout": 1})
    await redis.hset(f"{prefix}documents", "p", "whatever it was")
    await bench.handler().assigned(PARTITION)
    assert not [key async for key in redis.scan_iter(f"{prefix}*")]
