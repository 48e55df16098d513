"""The clock, lateness, robots, zombies, and what happens when Redis loses something."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from schemas.judgements import Judgement, Outcome
from services.judgements.domain.counts import QueryProduct
from shared.errors import FatalError, FencedError
from tests.connected.judgements.stage import (
    NOON,
    Bus,
    ManualClock,
    Process,
    all_partitions,
    assert_published_is_recounted,
    event,
    query,
    recounted,
    settings_of,
)

pytestmark = pytest.mark.connected
DAY = timedelta(days=1)
KEY = b"red shoes\tp1"


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def settings(namespace):
    return settings_of(namespace, window_days=3, grace=DAY, robot_events_per_hour=5)


async def started(redis, bus, clock, settings):
    process = Process(redis, bus, clock, settings=settings)
    await process.assign()
    return process


def shop(bus, at=NOON):
    bus.send(query(1, "Red  shoes", at, shown=["p1", "p2"]))
    bus.send(event(1, "click", "p1", at + timedelta(seconds=5)))


async def tallies(redis, settings):
    found = {}
    async for key in redis.scan_iter(match=f"{settings.namespace}:*:tallies"):
        for name, number in (await redis.hgetall(key)).items():
            found[name.decode()] = found.get(name.decode(), 0) + int(number)
    return found


async def test_a_click_becomes_a_judgement(redis, bus, clock, settings):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    clicked, shown = bus.judgements()[KEY], bus.judgements()[b"red shoes\tp2"]
    assert (clicked.impressions, clicked.actions["click"].count, clicked.shoppers) == (1, 1, 1)
    assert (shown.impressions, shown.actions["click"].count, shown.shoppers) == (1, 0, 0)
    assert shown.value <= clicked.value
    assert (clicked.window_start, clicked.window_end) == ((NOON - 2 * DAY).date(), NOON.date())


async def test_a_query_without_news_is_not_published_again(redis, bus, clock, settings):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    before = len(list(bus.read(Judgement.topic)))
    await process.run_dry()
    assert len(list(bus.read(Judgement.topic))) == before


async def test_days_leave_on_time_with_no_new_traffic(redis, bus, clock, settings):
    shop(bus, at=NOON - DAY)
    bus.send(query(2, "red shoes", NOON, shown=["p1"]))
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    assert bus.judgements()[KEY].impressions == 2

    clock.moment = NOON + 2 * DAY
    await process.engine.ticker.tick()
    assert bus.judgements()[KEY].impressions == 1
    assert b"red shoes\tp2" not in bus.judgements()
    assert_published_is_recounted(bus, settings, clock.moment)

    clock.moment = NOON + 3 * DAY
    await process.engine.ticker.tick()
    assert bus.judgements() == {}
    assert [record.value for record in bus.read(Judgement.topic)].count(None) == 2
    left = [key async for key in redis.scan_iter(match=f"{settings.namespace}:{{window-*:[cpn]:*")]
    assert left == []


async def test_all_pairs_are_published_again_when_expectations_change_also_those_nobody_touches(
    redis, bus, clock, settings
):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    before = bus.judgements()[KEY].actions["click"]
    for number in range(2, 40):
        bus.send(query(number, "lamp", NOON, shown=["p7", "p8"], client=f"c{number}"))
        bus.send(event(number, "click", "p7", NOON, client_id=f"c{number}"))
    clock.moment = NOON + timedelta(minutes=1)
    await process.run_dry()
    after = bus.judgements()[KEY].actions["click"]
    assert (after.count, after.expected > before.expected) == (before.count, True)
    assert_published_is_recounted(bus, settings, clock.moment)
    published = len(list(bus.read(Judgement.topic)))
    await process.run_dry()
    assert len(list(bus.read(Judgement.topic))) == published


async def test_a_worker_killed_while_it_marks_all_pairs_leaves_none_behind(redis, bus, clock, settings):
    shop(bus)
    first = await started(redis, bus, clock, settings)
    await first.run_dry()
    clock.moment = NOON + timedelta(minutes=1)
    for number in range(2, 40):
        bus.send(query(number, "lamp", NOON, shown=["p7"], client=f"c{number}"))
    while sum([await first.step(partition, 100) for partition in all_partitions()]):
        pass
    await first.engine.fitting.tick()  # and it is gone before a pair was marked
    second = await started(redis, bus, clock, settings)
    bus.logs.clear()
    await second.engine.ticker.tick()
    assert {key for key in bus.judgements() if key.startswith(b"red")} == {KEY, b"red shoes\tp2"}


async def test_a_fit_of_a_worker_that_lost_the_partition_is_refused(redis, bus, clock, settings):
    shop(bus)
    zombie = await started(redis, bus, clock, settings)
    while sum([await zombie.step(partition, 100) for partition in all_partitions()]):
        pass
    await started(redis, bus, clock, settings)
    with pytest.raises(FencedError):
        await zombie.engine.fitting.tick()


async def test_a_late_event_within_the_grace_lands_in_its_own_day(redis, bus, clock, settings):
    bus.send(query(1, "red shoes", NOON - DAY, shown=["p1"]))
    bus.send(event(1, "click", "p1", NOON, event_id="new"))
    bus.send(event(1, "click", "p1", NOON - timedelta(hours=23), event_id="late"))
    bus.send(event(1, "click", "p1", NOON - timedelta(hours=25), event_id="too late"))
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    assert bus.judgements()[KEY].actions["click"].count == 2
    assert (await tallies(redis, settings))["late"] == 1
    clock.moment = NOON + 2 * DAY
    await process.engine.ticker.tick()
    assert bus.judgements()[KEY].actions["click"].count == 1
    assert_published_is_recounted(bus, settings, clock.moment)


async def test_robots_and_duplicates_are_counted_aside(redis, bus, clock, settings):
    bus.send(query(1, "red shoes", NOON, shown=["p1"]))
    bus.send(query(2, "red shoes", NOON, shown=["p1"], client="googlebot"))
    bus.send(event(2, "click", "p1", NOON, client_id="c3"))
    for number in range(8):
        for _ in range(2):
            bus.send(event(1, "click", "p1", NOON, client_id="busy", event_id=f"e{number}"))
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    judgement = bus.judgements()[KEY]
    assert (judgement.impressions, judgement.actions["click"].count) == (1, 5)
    counted = await tallies(redis, settings)
    assert (counted["duplicate"], counted["robot"]) == (8, 5)


async def test_a_further_page_is_shown_and_acted_upon_at_its_own_places(redis, bus, clock, settings):
    pages = [["p1", "p2"], ["p1", "p2", "p3"], ["p1", "p2", "p3", "p4"]]
    for shown in pages:
        bus.send(query(1, "red shoes", NOON, shown=shown))
    bus.send(query(1, "red shoes", NOON, shown=[*pages[2], "p5"], client="c2"))
    for shown in pages:
        bus.send(query(1, "red shoes", NOON, shown=shown))
    for product in ("p1", "p3", "p4"):
        bus.send(event(1, "click", product, NOON))
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    joined = [Outcome.decode(record.value) for record in bus.read(Outcome.topic)]
    shown = [
        (item.product_id, item.position)
        for outcome in joined
        if outcome.action == "impression"
        for item in outcome.items
    ]
    assert shown == [("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4)]
    clicks = {item for outcome in joined if outcome.action == "click" for item in outcome.items}
    assert {(item.product_id, item.position) for item in clicks} == {("p1", 1), ("p3", 3), ("p4", 4)}
    counted = await tallies(redis, settings)
    assert (counted["page"], counted["duplicate"]) == (2, 4)
    assert_published_is_recounted(bus, settings, NOON)


async def test_a_page_is_forgotten_with_its_query(redis, bus, clock, settings):
    bus.send(query(1, "red shoes", NOON, shown=["p1"]))
    bus.send(query(1, "red shoes", NOON, shown=["p1", "p2"]))
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    left = {}
    for kind in ("q", "pages"):
        (key,) = [key async for key in redis.scan_iter(match=f"{settings.namespace}:*:{kind}:q1")]
        left[kind] = await redis.pttl(key)
    assert 0 < left["pages"] <= left["q"] + 10


async def test_a_purchase_days_later_counts_for_its_query(redis, bus, clock, settings):
    bus.send(query(1, "red shoes", NOON - 20 * DAY, shown=["p1"]))
    bus.send(event(1, "purchase", "p1", NOON))
    bus.send(event(1, "click", "p1", NOON))
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    judgement = bus.judgements()[KEY]
    assert judgement.actions["purchase"].count == 1
    assert judgement.actions.get("click") is None or judgement.actions["click"].count == 0
    assert_published_is_recounted(bus, settings, NOON)


async def test_none_of_100_zombie_writes_is_accepted(redis, bus, clock, settings):
    zombie = await started(redis, bus, clock, settings)
    process = await started(redis, bus, clock, settings)
    accepted = 0
    for number in range(100):
        bus.send(query(number, "red shoes", NOON, shown=["p1"]))
        bus.send(event(number, "click", "p1", NOON))
        for partition in all_partitions():
            try:
                accepted += await zombie.step(partition, 100)
            except FencedError:
                continue
    assert accepted == 0
    await process.run_dry()
    with pytest.raises(FencedError):
        await zombie.engine.ticker.tick()
    assert bus.judgements()[KEY].impressions == 100
    assert_published_is_recounted(bus, settings, NOON)


async def test_a_pair_touched_while_it_is_published_is_published_again(redis, bus, clock, settings):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    for partition in all_partitions():
        await process.step(partition, 10)

    async def meanwhile():
        bus.gate = None
        bus.send(event(1, "purchase", "p1", NOON))
        for partition in all_partitions():
            await process.step(partition, 10)

    bus.gate = meanwhile
    await process.engine.ticker.tick()
    await process.engine.ticker.tick()
    assert bus.judgements()[KEY].actions["purchase"].count == 1


async def test_a_successor_speaks_again_after_a_zombie_published_over_it(redis, bus, clock, settings):
    shop(bus)
    zombie = await started(redis, bus, clock, settings)
    for partition in all_partitions():
        await zombie.step(partition, 10)
    successors = []

    async def meanwhile():
        bus.gate = None
        successors.append(await started(redis, bus, clock, settings))
        bus.send(event(1, "purchase", "p1", NOON))
        await successors[0].run_dry()

    bus.gate = meanwhile
    with pytest.raises(FencedError):
        await zombie.engine.ticker.tick()
    assert "purchase" not in bus.judgements()[KEY].actions
    await successors[0].engine.ticker.tick()
    assert bus.judgements()[KEY].actions["purchase"].count == 1


async def forget(redis, pattern):
    async for key in redis.scan_iter(match=pattern):
        await redis.delete(key)


@pytest.mark.parametrize(
    "lost",
    ["*", "{judgements}*", "{window-*", "{join-*", "{join-0}*", "{join-1}*", "{window-0}*", "{*-1}*"],
)
async def test_lost_state_is_rebuilt_from_the_topics(redis, bus, clock, settings, lost):
    for number in range(40):
        bus.send(event(number, "click", f"p{number % 3}", NOON))
        bus.send(query(number, f"red {number % 5}", NOON - DAY, shown=["p1", "p0", "p9"]))
        bus.send(event(number, "purchase", f"p{number % 3}", NOON))
    process = await started(redis, bus, clock, settings)
    await process.run_dry(most=7)
    assert_published_is_recounted(bus, settings, NOON)

    await forget(redis, f"{settings.namespace}:{lost.replace('{', '[{]')}")
    for number in range(40, 60):
        bus.send(query(number, f"red {number % 5}", NOON, shown=["p1", "p0", "p9"]))
    for _ in range(3):  # a supervisor starts it again when it stops
        try:
            process = await started(redis, bus, clock, settings)
            await process.run_dry(most=11)
            break
        except FatalError:
            continue
    assert recounted(bus, settings, NOON)
    assert_published_is_recounted(bus, settings, NOON)


async def test_a_worker_whose_redis_is_emptied_stops_instead_of_counting_on(redis, bus, clock, settings):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    await forget(redis, f"{settings.namespace}:*")
    bus.send(query(2, "red shoes", NOON, shown=["p1"]))
    with pytest.raises(FatalError, match="start the worker again"):
        await process.run_dry()


async def test_pairs_that_emptied_while_redis_was_lost_get_their_tombstone(redis, bus, clock, settings):
    shop(bus)
    await (await started(redis, bus, clock, settings)).run_dry()
    assert KEY in bus.judgements()
    await forget(redis, f"{settings.namespace}:*")
    clock.moment = NOON + 5 * DAY
    await (await started(redis, bus, clock, settings)).run_dry()
    assert bus.judgements() == {}


async def test_an_old_incarnation_is_swept_away(redis, bus, clock, settings):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    incarnations = process.engine.incarnations
    old = await incarnations.current()
    new = await incarnations.renew(old)
    assert new > old
    assert await incarnations.renew(old) == new
    with pytest.raises(FatalError, match="rebuilt"):
        await process.engine.ticker.tick()
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    assert not [key async for key in redis.scan_iter(match=f"{settings.namespace}:*:{old}:*")]
    assert_published_is_recounted(bus, settings, NOON)


async def test_the_page_shows_what_is_counted(redis, bus, clock, settings):
    shop(bus)
    process = await started(redis, bus, clock, settings)
    await process.run_dry()
    incarnation = await process.engine.incarnations.current()
    found = await process.engine.counts.of_query("red shoes", incarnation, first=0)
    assert {pair: counts.actions for pair, counts in found.items()} == {
        QueryProduct("red shoes", "p1"): {"click": 1},
        QueryProduct("red shoes", "p2"): {},
    }
