"""Fenced state on a real server: the contract, and what only a server can do."""

import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from shared.cluster.lease import Lease
from shared.errors import FatalError, FencedError
from shared.state.fenced import LeaderScript, StateClaim, StateFields, StateKeys
from shared.state.hash import RedisHash
from tests.contracts.fenced_hash import FencedHashContract

pytestmark = pytest.mark.connected
YEAR = 365 * 24 * 3600 * 10**6


class RedisSite:
    def __init__(self, redis, namespace):
        self.hash = RedisHash(redis, "sums")
        self.keys = StateKeys(f"{namespace}:{{partition}}:")
        self._redis = redis

    async def empty(self):
        if keys := await self._keys():
            await self._redis.delete(*keys)

    async def save(self):
        return {key: await self._redis.dump(key) for key in await self._keys()}

    async def restore(self, saved):
        await self.empty()
        for key, value in saved.items():
            await self._redis.restore(key, 0, value)

    async def _keys(self):
        return [key async for key in self._redis.scan_iter(f"{self.keys.prefix}*", count=1000)]


class TestRedisHash(FencedHashContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url):
        self.address = redis_url

    @asynccontextmanager
    async def open_site(self):
        async with Redis.from_url(self.address) as redis:
            yield RedisSite(redis, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def keys(namespace):
    return StateKeys(f"{namespace}:{{partition}}:")


async def test_an_epoch_is_the_servers_clock_in_microseconds(redis, keys):
    claimed = await StateClaim(redis)(keys)
    moment = datetime.fromtimestamp(claimed.epoch / 1e6, UTC)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    assert claimed.epoch + 200 * YEAR < 2**53


async def test_a_state_with_an_epoch_of_an_earlier_version_goes_on(redis, keys):
    await redis.hset(keys.state, mapping={"epoch": 7, "next": 12})
    claimed = await StateClaim(redis)(keys)
    assert (claimed.epoch > 7, claimed.next_offset) == (True, 12)


async def test_each_log_of_a_state_has_its_own_epoch_and_offset(redis, keys):
    claim = StateClaim(redis)
    queries, events = StateFields.of_log("queries"), StateFields.of_log("events")
    first = await claim(keys, queries)
    await redis.hset(keys.state, mapping={"next:queries": 3, "clock": "noon"})
    assert (await claim(keys, events, other=["clock", "none"]))[1:] == (None, ("noon", None))
    second = await claim(keys, queries)
    assert (second.epoch > first.epoch, second.next_offset) == (True, 3)


async def test_a_state_that_is_not_to_be_created_is_not(redis, keys):
    assert await StateClaim(redis)(keys, create=False) is None
    assert not await redis.exists(keys.state)


async def test_state_of_another_layout_is_refused_with_the_way_out(redis, keys):
    await StateClaim(redis, layout=2)(keys)
    with pytest.raises(FatalError, match=r"has layout 2, this version reads 1: run the version .* or remove"):
        await StateClaim(redis)(keys)
    await redis.delete(keys.state)
    assert (await StateClaim(redis)(keys)).next_offset is None


async def test_a_lease_has_an_epoch_above_those_that_an_emptied_redis_had(redis, namespace):
    epochs = []
    for number in range(10):
        lease = Lease(redis, f"{namespace}:lease", owner=f"w{number}", ttl=timedelta(seconds=30))
        epochs.append(await lease.acquire())
        await redis.delete(f"{{{namespace}:lease}}:lease", f"{{{namespace}:lease}}:epoch")
    assert epochs == sorted(set(epochs))
    assert await lease.acquire(seen_epoch=2**52) == 2**52 + 1


async def test_a_lease_that_another_one_holds_is_not_taken_and_raises_no_epoch(redis, namespace):
    one, other = (
        Lease(redis, f"{namespace}:lease", owner=name, ttl=timedelta(seconds=30)) for name in ("one", "other")
    )
    assert await one.acquire() is not None
    before = await redis.get(f"{{{namespace}:lease}}:epoch")
    assert await other.acquire() is None
    assert await redis.get(f"{{{namespace}:lease}}:epoch") == before


async def test_a_deposed_leader_is_refused_also_when_redis_came_back_older(redis, namespace):
    lease, fence = f"{namespace}:leader", f"{namespace}:{{leader}}:fence"
    write = LeaderScript(redis, "redis.call('SET', KEYS[1] .. ':written', ARGV[2])")

    async def lead(owner):
        return await Lease(redis, lease, owner=owner, ttl=timedelta(seconds=30)).acquire()

    old = await lead("first")
    await write(keys=[fence], epoch=old, args=["a"])
    saved = {key: await redis.dump(key) for key in (fence, f"{{{lease}}}:epoch")}
    await redis.delete(f"{{{lease}}}:lease")
    middle = await lead("second")
    await write(keys=[fence], epoch=middle, args=["b"])
    await redis.delete(f"{{{lease}}}:lease", *saved)
    for key, value in saved.items():
        await redis.restore(key, 0, value)
    new = await lead("third")
    assert old < middle < new
    await write(keys=[fence], epoch=new, args=["c"])
    for deposed in (old, middle):
        with pytest.raises(FencedError, match=f"epoch {new}, ours is {deposed}"):
            await write(keys=[fence], epoch=deposed, args=["z"])
    assert await redis.get(f"{fence}:written") == b"c"
