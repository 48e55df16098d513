"""Alerts outlive the monitor: lives and outbox in a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from schemas.alerts import Alert
from services.monitor.alerts import AlertBook, open_alerts
from services.monitor.domain.life import Policy
from services.monitor.domain.observation import Observation
from shared.errors import FencedError, TransientError
from shared.records import Partition
from shared.resume import Hole

pytestmark = pytest.mark.connected

POLICY = Policy(fire_after=2, resolve_after=2)


def seen(breached: bool, key: str = "detector:subject", **more: object) -> Observation:
    return Observation.model_validate(
        {"key": key, "breached": breached, "summary": "something is wrong", "action": "look", **more}
    )


@pytest.fixture
def book(redis: Redis, bus, clock, namespace: str) -> AlertBook:
    return AlertBook(redis, bus, namespace=namespace, clock=clock)


def told(bus) -> list[str]:
    return [Alert.decode(message.value).status for message in bus.on("alerts.v1")]


async def test_a_life_is_published_once_a_turn_and_survives_restarts(redis, bus, clock, namespace):
    for breached in (True, True, True, True, False, False, False):
        # a new book each time: the process was restarted
        book = AlertBook(redis, bus, namespace=namespace, clock=clock)
        await book.observe([seen(breached)], policy=POLICY, epoch=1)
        clock.forward(minutes=1)
    assert told(bus) == ["firing", "resolved"]
    assert bus.on("alerts.v1")[0].key == b"detector:subject"


async def test_it_says_whether_everything_is_settled(book):
    assert not await book.observe([seen(True), seen(False, "other:one")], policy=POLICY, epoch=1)
    assert await book.observe([seen(True), seen(False, "other:one")], policy=POLICY, epoch=1)


async def test_a_transition_whose_publishing_failed_is_published_later_in_order(book, bus, clock):
    await book.observe([seen(True)], policy=POLICY, epoch=1)
    bus.away = True
    with pytest.raises(TransientError):
        await book.observe([seen(True)], policy=POLICY, epoch=1)
    for _ in range(2):
        clock.forward(seconds=5)
        with pytest.raises(TransientError):
            await book.observe([seen(False)], policy=POLICY, epoch=1)
    bus.away = False
    await book.publish(epoch=1)
    assert told(bus) == ["firing", "resolved"]


async def test_a_kill_between_publishing_and_trimming_repeats_byte_for_byte(redis, bus, clock, namespace):
    class KilledError(Exception):
        pass

    class DyingBus:
        async def publish(self, messages):
            await bus.publish(messages)
            raise KilledError

    dying = AlertBook(redis, DyingBus(), namespace=namespace, clock=clock)
    with pytest.raises(KilledError):
        await dying.observe([seen(True)], policy=Policy(fire_after=1), epoch=1)
    clock.forward(hours=1)
    await AlertBook(redis, bus, namespace=namespace, clock=clock).publish(epoch=2)
    assert len(bus.sent) == 2
    assert bus.sent[0] == bus.sent[1]


async def test_watches_that_publish_at_the_same_time_publish_each_transition_once(book, bus):
    """Found in the first run of the whole: two watches published one outbox, and took off one too many."""
    many = [[seen(True, f"d{watch}:{number}") for number in range(20)] for watch in range(5)]
    fire = Policy(fire_after=1)
    await asyncio.gather(*(book.observe(some, policy=fire, epoch=1) for some in many))
    assert len(bus.sent) == 100
    assert len({message.key for message in bus.sent}) == 100


async def test_two_processes_with_one_outbox_lose_nothing(redis, bus, clock, namespace):
    books = [AlertBook(redis, bus, namespace=namespace, clock=clock) for _ in range(4)]
    many = [[seen(True, f"d{at}:{number}") for number in range(20)] for at in range(4)]
    fire = Policy(fire_after=1)
    await asyncio.gather(
        *(book.observe(some, policy=fire, epoch=1) for book, some in zip(books, many, strict=True))
    )
    assert len({message.key for message in bus.sent}) == 80


async def test_a_monitor_that_was_deposed_changes_nothing(book, bus):
    await book.observe([seen(True)], policy=POLICY, epoch=7)
    with pytest.raises(FencedError):
        await book.observe([seen(True)], policy=POLICY, epoch=6)
    assert bus.sent == []
    assert (await book.lives())["detector:subject"].streak == 1


async def test_a_healthy_subject_leaves_nothing_behind(book, redis, namespace):
    await book.observe([seen(False)], policy=POLICY, epoch=1)
    await book.observe([seen(True)], policy=POLICY, epoch=1)
    await book.observe([seen(False)], policy=POLICY, epoch=1)
    assert await redis.hlen(f"{namespace}:{{monitor}}:alerts") == 0


async def test_a_removed_subject_closes_its_alert_and_is_forgotten(book, bus):
    await book.observe([seen(True)], policy=Policy(fire_after=1), epoch=1)
    await book.observe([seen(False, final=True)], policy=POLICY, epoch=1)
    assert told(bus) == ["firing", "resolved"]
    assert await book.lives() == {}


async def test_what_the_topic_lost_is_published_again(book, bus, clock):
    await book.observe([seen(True)], policy=Policy(fire_after=1), epoch=1)
    on_topic = {message.key: message.value for message in bus.on("alerts.v1")}
    clock.forward(minutes=1)
    assert await book.repair(on_topic, epoch=1) == []
    assert await book.repair({}, epoch=1) == ["detector:subject"]
    assert bus.sent[0] == bus.sent[1]


async def test_what_redis_lost_while_it_fired_is_adopted_and_resolved(book, bus, redis, namespace):
    await book.observe([seen(True)], policy=Policy(fire_after=1), epoch=1)
    await redis.delete(f"{namespace}:{{monitor}}:alerts")
    on_topic = {message.key: message.value for message in bus.on("alerts.v1")}
    await book.adopt(await book.orphans(on_topic), epoch=1)
    assert await book.orphans(on_topic) == []
    for _ in range(3):
        await book.observe([seen(False)], policy=POLICY, epoch=1)
    assert told(bus) == ["firing", "resolved"]


async def test_what_a_worker_raised_for_people_to_close_is_nobodys_orphan(book, clock):
    hole = Hole(Partition("search.events.v1", 0), 3, 9).alert(clock.now(), worker="judgements-join")
    assert await book.orphans({hole.key(): hole.encode()}) == []


async def test_a_thousand_subjects_turn_in_one_step(book, bus):
    many = [seen(True, f"detector:{number}") for number in range(1000)]
    assert await book.observe(many, policy=Policy(fire_after=1), epoch=1)
    assert len(bus.sent) == 1000
    assert len(open_alerts({m.key: m.value for m in bus.sent})) == 1000
