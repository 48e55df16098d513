"""A master of a Redis Cluster is killed: a pause until its replica takes over; search does not stop."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from services.search.owners import Owners
from shared.cluster.lease import Lease
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.errors import TransientError
from shared.settings import Settings
from shared.state.fenced import FencedState, StateKeys
from shared.state.hash import RedisHash
from shared.state.redis import connect
from tests.connected.redis_cluster import ClusterOfNodes

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
NAMESPACE, GENERATION = "faults", "g1"
KEYS = StateKeys("faults:{counted}:")
OWNER = OwnerRecord(
    url="http://a",
    instance="a",
    partition=0,
    partitions=1,
    epoch=1,
    next_offset=0,
    end_offset=0,
    ready=True,
    updated_at=datetime(2026, 11, 29, tzinfo=UTC),
)


@pytest.fixture
def nodes(tmp_path) -> Iterator[ClusterOfNodes]:
    cluster = ClusterOfNodes(tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


async def count(redis: Redis, times: int) -> int:
    """Count up, again and again while there is trouble; return how often there was."""
    state, pauses = RedisHash(redis, "counts"), 0
    held: FencedState | None = None
    while held is None or (held.next_offset or 0) < times:
        try:
            held = held or await state.claim(KEYS)
            await state.add(held, {"seen": 1}, next_offset=(held.next_offset or 0) + 1)
        except TransientError:
            pauses += 1
    return pauses


async def search(owners: Owners, counting: "asyncio.Task[int]") -> int:
    """Ask whom to search for as long as something is counted; return how often."""
    asked = 0
    while not counting.done():
        assert [owner.url for owner in await owners.of(GENERATION)] == ["http://a"]
        asked += 1
        await asyncio.wait([counting], timeout=0.02)
    return asked


@pytest.mark.parametrize("killed", [KEYS.state, f"{NAMESPACE}:owners:{GENERATION}"])
async def test_nothing_but_a_pause_comes_of_a_master_that_is_killed(
    nodes: ClusterOfNodes, killed: str
) -> None:
    redis = connect(Settings(redis=nodes.address))
    await OwnerRegistry(redis, NAMESPACE, GENERATION).announce(OWNER, timedelta(hours=1))
    owners = Owners(redis, NAMESPACE, ttl=timedelta(0))
    lease = Lease(redis, "faults", owner="we", ttl=timedelta(minutes=5))
    await owners.of(GENERATION)
    epoch = await lease.acquire()
    await count(redis, 10)
    await asyncio.to_thread(nodes.kill_master_of, killed)
    counting = asyncio.create_task(count(redis, 2000))
    assert await search(owners, counting) > 10
    await counting
    assert await RedisHash(redis, "counts").read(KEYS) == {"seen": "2000"}
    assert await lease.renew()
    assert (await lease.acquire() or 0) > (epoch or 0)
    await redis.aclose()
