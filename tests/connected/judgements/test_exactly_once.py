import asyncio
import random
import uuid
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from schemas.search import SearchQuery
from shared.errors import StateGoneError, StateLostError, TransientError
from tests.connected.judgements.stage import (
    NOON,
    Bus,
    Kill,
    LosingReplies,
    ManualClock,
    Process,
    all_partitions,
    assert_published_is_recounted,
    fill,
    patiently,
    recounted,
    sessions,
    settings_of,
)

pytestmark = pytest.mark.connected


def killing(rng, bus, share):
    """Let the process die before or after some writes: unwritten, half written, written and not trimmed."""

    def maybe():
        if rng.random() < share:
            raise Kill

    bus.before = bus.after = maybe


async def live_through(redis, rng, *, kills, lost_replies):
    """Run the stages in random steps under trouble until all is read; returns bus, settings and deaths."""
    bus, deaths, alive = Bus(), 0, True
    chosen = settings_of(
        f"t{uuid.uuid4().hex[:12]}",
        grace=timedelta(days=1),
        robot_events_per_hour=6,
        robot_queries_per_hour=4,
    )
    fill(bus, rng)
    killing(rng, bus, kills)
    bus.gate = partial(slowly, redis, rng)
    client = LosingReplies(redis, rng, lost_replies)
    while alive:
        try:
            process = Process(client, bus, ManualClock(), settings=chosen)
            await process.assign()
            while await step_at_once(process, rng):
                pass
            await process.run_dry()
            alive = False
        except* Kill:
            deaths += 1
    return bus, chosen, deaths


async def slowly(redis, rng):
    """Take as long as a few round trips: the other partitions go on meanwhile."""
    for _ in range(rng.randint(0, 5)):
        await redis.ping()


async def step_at_once(process, rng):
    """Handle a batch of some partitions, all at the same time, while the ticker ticks."""
    async with asyncio.TaskGroup() as tasks:  # the first death takes the others with it
        if rng.random() < 0.2:
            tasks.create_task(patiently(process.engine.ticker.tick))
        for partition in rng.sample(all_partitions(), rng.randint(1, 6)):
            tasks.create_task(process.step(partition, rng.randint(1, 40)))
    return any(process.next[at] < len(process.bus.logs[at]) for at in all_partitions())


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_any_order_and_any_kill_give_the_recount(redis_url, seed):
    async def run():
        rng = random.Random(seed)
        async with Redis.from_url(redis_url) as redis:
            bus, chosen, _ = await live_through(redis, rng, kills=0.01, lost_replies=0.05)
            assert recounted(bus, chosen, NOON)
            assert_published_is_recounted(bus, chosen, NOON)
            assert sessions(bus, chosen, NOON)

    asyncio.run(run())


async def test_hundreds_of_kills_lose_and_double_nothing(redis_url):
    deaths = 0
    async with Redis.from_url(redis_url) as redis:
        for seed in range(30):
            bus, chosen, died = await live_through(redis, random.Random(seed), kills=0.05, lost_replies=0.0)
            assert_published_is_recounted(bus, chosen, NOON)
            assert sessions(bus, chosen, NOON)
            deaths += died
    assert deaths >= 200


async def keys_of(redis, chosen):
    return [key async for key in redis.scan_iter(f"{chosen.namespace}:*", count=1000)]


@pytest.mark.parametrize("seed", range(6))
async def test_a_redis_that_comes_back_older_gives_the_recount(redis_url, seed):
    rng = random.Random(f"older {seed}")
    bus, chosen = Bus(), settings_of(f"t{uuid.uuid4().hex[:12]}", grace=timedelta(days=1))
    fill(bus, rng)
    async with Redis.from_url(redis_url) as redis:
        process = Process(redis, bus, ManualClock(), settings=chosen)
        await process.assign()
        for _ in range(rng.randint(1, 30)):
            await process.step(rng.choice(all_partitions()), rng.randint(1, 40))
        saved = {key: await redis.dump(key) for key in await keys_of(redis, chosen)}
        for _ in range(rng.randint(0, 30)):
            await process.step(rng.choice(all_partitions()), rng.randint(1, 40))
        await redis.delete(*await keys_of(redis, chosen))
        for key, value in saved.items():
            await redis.restore(key, 0, value)
        process = Process(redis, bus, ManualClock(), settings=chosen)
        await process.assign()
        await process.run_dry()
        assert_published_is_recounted(bus, chosen, NOON)
        assert sessions(bus, chosen, NOON)


async def lost_with_its_outbox(redis, bus, process, chosen, back):
    """Let Redis lose what was joined, or come back as it was before, while it is sent to the bus."""
    before = {key: await redis.dump(key) for key in await keys_of(redis, chosen)}

    async def lose():
        bus.gate = None
        await redis.delete(*await keys_of(redis, chosen))
        for key, value in before.items() if back else ():
            await redis.restore(key, 0, value)
        raise TransientError("the bus is away")

    bus.gate = lose
    at = next(at for at in all_partitions() if at.topic == SearchQuery.topic and bus.logs[at])
    await process.step(at, 40)


@pytest.mark.parametrize(("back", "error"), [(False, StateGoneError), (True, StateLostError)])
async def test_an_outbox_that_redis_lost_is_not_taken_for_an_empty_one(redis_url, back, error):
    """Otherwise a join would say that it had come further than what lies on the bus."""
    bus, chosen = Bus(), settings_of(f"t{uuid.uuid4().hex[:12]}", grace=timedelta(days=1))
    fill(bus, random.Random("lost outbox"))
    async with Redis.from_url(redis_url) as redis:
        process = Process(redis, bus, ManualClock(), settings=chosen)
        await process.assign()
        with pytest.raises(error):
            await lost_with_its_outbox(redis, bus, process, chosen, back)
        process = Process(redis, bus, ManualClock(), settings=chosen)
        await process.assign()
        await process.run_dry()
        assert_published_is_recounted(bus, chosen, NOON)
