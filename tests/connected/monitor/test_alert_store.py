"""Alerts outlive the monitor: lives and outbox in a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.alerts.store import AlertStore, open_alerts
from shared.errors import FencedError, TransientError
from shared.records import Partition
from shared.streaming.resume import OffsetGap

pytestmark = pytest.mark.connected

POLICY = AlertPolicy(fire_after=2, resolve_after=2)


def seen(breached: bool, key: str = "detector:subject", **more: object) -> Observation:
    return Observation.model_validate(
        {"key": key, "breached": breached, "summary": "something is wrong", "action": "look", **more}
    )


@pytest.fixture
def alert_store(redis: Redis, bus, clock, namespace: str) -> AlertStore:
    return AlertStore(redis, bus, namespace=namespace, clock=clock)


def statuses(bus) -> list[str]:
    return [Alert.decode(message.value).status for message in bus.on("alerts.v1")]


async def test_a_life_is_published_once_a_turn_and_survives_restarts(redis, bus, clock, namespace):
    for breached in (True, True, True, True, False, False, False):
        # a new book each time: the process was restarted
        alert_store = AlertStore(redis, bus, namespace=namespace, clock=clock)
        await alert_store.observe([seen(breached)], policy=POLICY, epoch=1)
        clock.forward(minutes=1)
    assert statuses(bus) == ["firing", "resolved"]
    assert bus.on("alerts.v1")[0].key == b"detector:subject"


async def test_it_says_whether_everything_is_settled(alert_store):
    assert not await alert_store.observe([seen(True), seen(False, "other:one")], policy=POLICY, epoch=1)
    assert await alert_store.observe([seen(True), seen(False, "other:one")], policy=POLICY, epoch=1)


async def test_a_transition_whose_publishing_failed_is_published_later_in_order(alert_store, bus, clock):
    await alert_store.observe([seen(True)], policy=POLICY, epoch=1)
    bus.away = True
    with pytest.raises(TransientError):
        await alert_store.observe([seen(True)], policy=POLICY, epoch=1)
    for _ in range(2):
        clock.forward(seconds=5)
        with pytest.raises(TransientError):
            await alert_store.observe([seen(False)], policy=POLICY, epoch=1)
    bus.away = False
    await alert_store.publish(epoch=1)
    assert statuses(bus) == ["firing", "resolved"]


async def test_a_kill_between_publishing_and_trimming_repeats_byte_for_byte(redis, bus, clock, namespace):
    class KilledError(Exception):
        pass

    class DyingBus:
        async def publish(self, messages):
            await bus.publish(messages)
            raise KilledError

    dying = AlertStore(redis, DyingBus(), namespace=namespace, clock=clock)
    with pytest.raises(KilledError):
        await dying.observe([seen(True)], policy=AlertPolicy(fire_after=1), epoch=1)
    clock.forward(hours=1)
    await AlertStore(redis, bus, namespace=namespace, clock=clock).publish(epoch=2)
    assert len(bus.sent) == 2
    assert bus.sent[0] == bus.sent[1]


async def test_watches_that_publish_at_the_same_time_publish_each_transition_once(alert_store, bus):
    """Found in the first run of the whole: two watches published one outbox, and took off one too many."""
    many = [[seen(True, f"d{watch}:{number}") for number in range(20)] for watch in range(5)]
    fire = AlertPolicy(fire_after=1)
    await asyncio.gather(*(alert_store.observe(some, policy=fire, epoch=1) for some in many))
    assert len(bus.sent) == 100
    assert len({message.key for message in bus.sent}) == 100


async def test_two_processes_with_one_outbox_lose_nothing(redis, bus, clock, namespace):
    alert_stores = [AlertStore(redis, bus, namespace=namespace, clock=clock) for _ in range(4)]
    many = [[seen(True, f"d{at}:{number}") for number in range(20)] for at in range(4)]
    fire = AlertPolicy(fire_after=1)
    await asyncio.gather(
        *(
            alert_store.observe(some, policy=fire, epoch=1)
            for alert_store, some in zip(alert_stores, many, strict=True)
        )
    )
    assert len({message.key for message in bus.sent}) == 80


async def test_a_monitor_that_was_deposed_changes_nothing(alert_store, bus):
    await alert_store.observe([seen(True)], policy=POLICY, epoch=7)
    with pytest.raises(FencedError):
        await alert_store.observe([seen(True)], policy=POLICY, epoch=6)
    assert bus.sent == []
    assert (await alert_store.states())["detector:subject"].streak == 1


async def test_a_healthy_subject_leaves_nothing_behind(alert_store, redis, namespace):
    await alert_store.observe([seen(False)], policy=POLICY, epoch=1)
    await alert_store.observe([seen(True)], policy=POLICY, epoch=1)
    await alert_store.observe([seen(False)], policy=POLICY, epoch=1)
    assert await redis.hlen(f"{namespace}:{{monitor}}:alerts") == 0


async def test_a_removed_subject_closes_its_alert_and_is_forgotten(alert_store, bus):
    await alert_store.observe([seen(True)], policy=AlertPolicy(fire_after=1), epoch=1)
    await alert_store.observe([seen(False, final=True)], policy=POLICY, epoch=1)
    assert statuses(bus) == ["firing", "resolved"]
    assert await alert_store.states() == {}


async def test_what_the_topic_lost_is_published_again(alert_store, bus, clock):
    await alert_store.observe([seen(True)], policy=AlertPolicy(fire_after=1), epoch=1)
    on_topic = {message.key: message.value for message in bus.on("alerts.v1")}
    clock.forward(minutes=1)
    assert await alert_store.repair(on_topic, epoch=1) == []
    assert await alert_store.repair({}, epoch=1) == ["detector:subject"]
    assert bus.sent[0] == bus.sent[1]


async def test_what_redis_lost_while_it_fired_is_adopted_and_resolved(alert_store, bus, redis, namespace):
    await alert_store.observe([seen(True)], policy=AlertPolicy(fire_after=1), epoch=1)
    await redis.delete(f"{namespace}:{{monitor}}:alerts")
    on_topic = {message.key: message.value for message in bus.on("alerts.v1")}
    await alert_store.adopt(await alert_store.orphans(on_topic), epoch=1)
    assert await alert_store.orphans(on_topic) == []
    for _ in range(3):
        await alert_store.observe([seen(False)], policy=POLICY, epoch=1)
    assert statuses(bus) == ["firing", "resolved"]


async def test_what_a_worker_raised_for_people_to_close_is_nobodys_orphan(alert_store, clock):
    gap = OffsetGap(Partition("search.events.v1", 0), 3, 9).alert(clock.now(), worker="judgements-join")
    assert await alert_store.orphans({gap.key(): gap.encode()}) == []


async def test_a_thousand_subjects_turn_in_one_step(alert_store, bus):
    many = [seen(True, f"detector:{number}") for number in range(1000)]
    assert await alert_store.observe(many, policy=AlertPolicy(fire_after=1), epoch=1)
    assert len(bus.sent) == 1000
    assert len(open_alerts({m.key: m.value for m in bus.sent})) == 1000
