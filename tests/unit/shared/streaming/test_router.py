"""The router forwards what is not at home where it lies, whatever is killed when, and says whose it was."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PoisonError, TransientError
from shared.kafka.partitioning import partition_of
from shared.records import Applied, Batch, Outgoing, Partition, Record
from shared.streaming.misplacement import Misplacement
from shared.streaming.repartition import Tally, original, router_of
from shared.streaming.router import RepartitionRouter, RoutedRecord, Routes
from shared.testing.fenced import DictHash
from shared.testing.publisher import MemoryPublisher

TOPIC = "catalogue.changes.v1"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOMES = 2


class Frozen:
    def now(self) -> datetime:
        return NOON


class Dying(MemoryPublisher):
    """Writes only the first `alive` messages, then fails once."""

    alive: int | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.alive is None:
            return await super().publish(messages)
        await super().publish(messages[: self.alive])
        self.alive = None
        raise TransientError("the broker went away")


def subject(record: Record) -> RoutedRecord:
    if record.value == b"poison":
        raise PoisonError("value.poison", "it cannot be read")
    remarks = (Outgoing("remarks", record.key, record.value),) if record.key == b"remarkable" else ()
    return RoutedRecord(record.value or None, remarks)


class World:
    """State and bus, that outlive a router."""

    def __init__(self) -> None:
        self.state = DictHash(count(1).__next__)
        self.bus = Dying()

    def router(self) -> RepartitionRouter:
        routes = Routes({TOPIC: subject}, HOMES, "n")
        router = RepartitionRouter(self.state, self.bus, routes=routes, clock=Frozen())
        router.partitions = {TOPIC: 4}
        return router

    @property
    def tallies(self) -> dict[str, str]:
        return {name: text for state in self.state.states.values() for name, text in state.fields.items()}


def record(at: Partition, offset: int, about: bytes, key: bytes | None = None) -> Record:
    return Record(at, offset, key, about, NOON - timedelta(minutes=offset))


def batch(router: RepartitionRouter, records: Sequence[Record], first: int = 0) -> Batch[RoutedRecord]:
    return Batch([(one, router.decode(one)) for one in records], first + len(records))


async def test_what_is_at_home_stays_and_what_is_not_is_forwarded_with_where_it_lay():
    world, at = World(), Partition(TOPIC, 1)
    router = world.router()
    assert await router.assigned(at) is None
    records = [record(at, offset, b"P-%d" % offset) for offset in range(20)]
    away = [one for one in records if partition_of(one.value, HOMES) != 1]
    done = await router.handle(at, batch(router, records))
    assert done == Applied(0, 20 - len(away), forwarded=len(away))
    assert [message.partition for message in world.bus.messages] == [0] * len(away)
    read = [
        Record(Partition(m.topic, m.partition), n, m.key, m.value, NOON, m.headers)
        for n, m in enumerate(world.bus.messages)
    ]
    assert [original(one) for one in read] == away
    assert await world.router().assigned(at) == 20


async def test_all_of_a_partition_beyond_the_homes_is_forwarded():
    world, at = World(), Partition(TOPIC, 3)
    router = world.router()
    await router.assigned(at)
    records = [record(at, 0, b"P-1"), record(at, 1, b"")]
    assert (await router.handle(at, batch(router, records))).forwarded == 2
    assert {message.partition for message in world.bus.messages} == {partition_of(b"P-1", HOMES), 3 % HOMES}


async def test_what_is_said_of_a_message_is_published_before_the_offset_moves():
    world, at = World(), Partition(TOPIC, partition_of(b"P-1", HOMES))
    router = world.router()
    await router.assigned(at)
    records = [record(at, 0, b"P-1", b"remarkable"), record(at, 1, b"P-1")]
    world.bus.alive = 0
    with pytest.raises(TransientError):
        await router.handle(at, batch(router, records))
    again = world.router()
    assert not await again.assigned(at)
    assert await again.handle(at, batch(again, records)) == Applied(0, 2)
    assert [message.value for message in world.bus.of("remarks")] == [b"P-1"]


async def test_what_cannot_be_read_is_poison():
    with pytest.raises(PoisonError, match=r"value\.poison"):
        World().router().decode(record(Partition(TOPIC, 0), 0, b"poison"))


@given(deaths=st.lists(st.none() | st.integers(0, 3), max_size=12), size=st.integers(1, 4))
async def test_whatever_is_killed_when_everything_arrives_in_order_at_least_once(deaths, size):
    world, at = World(), Partition(TOPIC, 0)
    records = [record(at, offset, b"P-%d" % offset) for offset in range(12)]
    router = world.router()
    place = await router.assigned(at) or 0
    while place < len(records):
        world.bus.alive = deaths.pop() if deaths else None
        try:
            taken = records[place : place + size]
            await router.handle(at, batch(router, taken, place))
            place += len(taken)
        except TransientError:
            router = world.router()
            assert (await router.assigned(at) or 0) == place
    arrived = list(dict.fromkeys(message.value for message in world.bus.messages))
    assert arrived == [one.value for one in records if partition_of(one.value, HOMES) != 0]


async def test_it_remembers_how_many_were_forwarded_for_which_cause_over_its_restarts():
    world, at = World(), Partition(TOPIC, 0)
    name = next(b"P-%d" % number for number in range(99) if partition_of(b"P-%d" % number, HOMES) == 1)
    for offset in range(0, 6, 2):
        router = world.router()
        await router.assigned(at)
        await router.handle(at, batch(router, [record(at, offset + n, name) for n in range(2)], offset))
    [(cause, text)] = world.tallies.items()
    assert cause == Misplacement.NO_KEY
    assert Tally(*orjson.loads(text)) == Tally(6, NOON.isoformat(), f"{TOPIC}-0 @ 5")


def test_the_routers_name_is_of_what_it_forwards():
    assert router_of([TOPIC]) == "router-catalogue"
    assert router_of(["search.queries.v1", "search.events.v1"]) == "router-search"
