"""Who works on what, as Redis keeps it: leases, announcements, and what is reported of generations."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from shared.cluster.lease import Lease
from shared.cluster.members import OwnerRecord, ReaderRecord
from shared.cluster.registry import OwnerRegistry, ReaderRegistry, generations
from shared.errors import TransientError
from shared.generations.canary_results import CanaryResult, canary_results, results_key
from shared.generations.status import FORGOTTEN, HEARD, GenerationStatus, GenerationStatusBoard
from shared.settings import Settings
from shared.state.redis import connect
from tests.unit.shared.cluster.leases import LeaseSuite

pytestmark = pytest.mark.connected
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@dataclass
class RealLeases:
    redis: Redis
    namespace: str

    def lease(self, name: str, owner: str) -> Lease:
        return Lease(self.redis, f"{self.namespace}:{name}", owner=owner, ttl=LONG)

    async def expire(self, name: str) -> None:
        await self.redis.delete(f"{{{self.namespace}:{name}}}:lease")


class TestLease(LeaseSuite):
    @pytest.fixture
    def leases(self, redis: Redis, namespace: str) -> RealLeases:
        return RealLeases(redis, namespace)


async def test_a_lease_lives_no_longer_than_it_was_taken_or_renewed_for(redis, namespace):
    lease = Lease(redis, f"{namespace}:shard", owner="one", ttl=LONG)
    key = f"{{{namespace}:shard}}:lease"
    await lease.acquire()
    assert LONG - 10 * SECOND < timedelta(milliseconds=await redis.pttl(key)) <= LONG
    await redis.pexpire(key, 1000)
    await lease.renew()
    assert LONG - 10 * SECOND < timedelta(milliseconds=await redis.pttl(key)) <= LONG


async def test_the_epoch_does_not_begin_again_when_redis_was_emptied(redis, namespace):
    lease = Lease(redis, f"{namespace}:shard", owner="one", ttl=LONG)
    before = await lease.acquire()
    await redis.delete(f"{{{namespace}:shard}}:lease", f"{{{namespace}:shard}}:epoch")
    assert await lease.acquire() > before


# Announcements


def reader(partition: int, *, instance: str = "one") -> ReaderRecord:
    return ReaderRecord(
        instance=instance,
        topic="search.events.v1",
        partition=partition,
        partitions=4,
        next_offset=None,
        end_offset=9,
        updated_at=NOW,
    )


def owner(partition: int, url: str = "http://a:1", updated_at: datetime = NOW) -> OwnerRecord:
    return OwnerRecord(
        instance="one",
        partition=partition,
        partitions=4,
        end_offset=9,
        url=url,
        epoch=3,
        next_offset=7,
        ready=True,
        updated_at=updated_at,
    )


async def test_the_living_are_listed_whole_by_partition(redis, namespace):
    readers = ReaderRegistry(redis, namespace, "embedder")
    assert await readers.records() == []
    for record in (reader(3), reader(0, instance="two"), reader(0)):
        await readers.announce(record, LONG)
    assert await readers.records() == [reader(0), reader(0, instance="two"), reader(3)]
    assert await ReaderRegistry(redis, namespace, "another").records() == []


async def test_what_is_announced_again_replaces_what_was_said_before(redis, namespace):
    readers = ReaderRegistry(redis, namespace, "embedder")
    newer = reader(0).model_copy(update={"next_offset": 8})
    await readers.announce(reader(0), LONG)
    await readers.announce(newer, LONG)
    assert await readers.records() == [newer]


async def test_who_withdraws_is_gone_and_who_is_silent_is_forgotten(redis, namespace):
    readers = ReaderRegistry(redis, namespace, "embedder")
    await readers.announce(reader(0), LONG)
    await readers.announce(reader(1), LONG)
    await readers.withdraw(reader(0))
    assert await readers.records() == [reader(1)]
    await redis.delete(f"{namespace}:readers:embedder:{reader(1).name}")  # its time is over
    assert await readers.records() == []
    assert await redis.scard(f"{namespace}:readers:embedder") == 0


async def test_a_generation_is_served_until_its_last_owner_takes_itself_back(redis, namespace):
    owners = OwnerRegistry(redis, namespace, "g2")
    await owners.announce(owner(0), LONG)
    await owners.announce(owner(1), LONG)
    await owners.withdraw(owner(0))
    assert await generations(redis, namespace, since=NOW) == ["g2"]
    await owners.withdraw(owner(1))
    assert await generations(redis, namespace, since=NOW) == []


async def test_a_generation_whose_owners_died_is_out_of_order_and_not_gone(redis, namespace):
    owners = OwnerRegistry(redis, namespace, "g2")
    await owners.announce(owner(0), LONG)
    await redis.delete(f"{namespace}:owners:g2:{owner(0).name}")  # its time is over
    assert await owners.owners() == []
    assert await generations(redis, namespace, since=NOW - LONG) == ["g2"]
    assert await generations(redis, namespace, since=NOW + SECOND) == []


# Generations


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment


def board(redis: Redis, namespace: str, clock: Clock, worker: str = "shards", instance: str = "1"):
    settings = Settings(namespace=namespace, instance=instance)
    return GenerationStatusBoard(redis, settings, worker=worker, clock=clock)


def status(generation: str, what: str = "running") -> GenerationStatus:
    return GenerationStatus.model_validate({"generation": generation, "status": what})


async def test_what_each_worker_reports_is_read_by_all(redis, namespace):
    clock = Clock()
    shards, search = (board(redis, namespace, clock, worker) for worker in ("shards", "search"))
    await shards.report([status("g1"), status("g2", "starting")])
    await search.report([status("g1")])
    reports = await search.reports()
    assert [(report.worker, report.generation, report.status) for report in reports] == [
        ("search", "g1", "running"),
        ("shards", "g1", "running"),
        ("shards", "g2", "starting"),
    ]
    assert {report.instance for report in reports} == {"1"}
    assert {report.updated_at for report in reports} == {NOW}


async def test_what_is_not_reported_any_more_is_taken_back_and_that_of_others_stays(redis, namespace):
    clock = Clock()
    one, two = (board(redis, namespace, clock, instance=instance) for instance in ("1", "2"))
    await one.report([status("g1"), status("g2")])
    await two.report([status("g2")])
    await one.report([status("g1")])
    assert [(report.instance, report.generation) for report in await one.reports()] == [
        ("1", "g1"),
        ("2", "g2"),
    ]
    await one.report([])
    assert [(report.instance, report.generation) for report in await one.reports()] == [("2", "g2")]


async def test_the_dead_are_not_heard_and_after_an_hour_forgotten(redis, namespace):
    clock = Clock()
    shards = board(redis, namespace, clock)
    await shards.report([status("g1")])
    clock.moment = NOW + HEARD
    assert len(await shards.reports()) == 1
    clock.moment = NOW + HEARD + SECOND
    assert await shards.reports() == []
    clock.moment = NOW
    assert len(await shards.reports()) == 1
    clock.moment = NOW + FORGOTTEN + SECOND
    assert await shards.reports() == []
    clock.moment = NOW
    assert await shards.reports() == []


async def test_the_last_result_of_each_canary_of_a_generation_is_found_by_its_id(redis, namespace):
    results = {
        name: CanaryResult(canary_id=name, recall=0.9, limit=0.5, ran_at=NOW) for name in ("c-1", "c-2")
    }
    for name, result in results.items():
        await redis.hset(results_key(namespace, "g1"), name, result.model_dump_json())
    assert await canary_results(redis, namespace, "g1") == results
    assert await canary_results(redis, namespace, "g2") == {}


async def test_a_redis_that_is_away_is_passing_trouble_for_every_board(namespace):
    away = connect(Settings(redis="redis://127.0.0.1:1/0"))
    shards = board(away, namespace, Clock())
    for question in (
        shards.reports(),
        shards.report([status("g1")]),
        ReaderRegistry(away, namespace, "embedder").records(),
        ReaderRegistry(away, namespace, "embedder").announce(reader(0), LONG),
        generations(away, namespace, since=NOW),
        canary_results(away, namespace, "g1"),
        Lease(away, "shard", owner="one", ttl=LONG).acquire(),
    ):
        with pytest.raises(TransientError, match="Redis is away"):
            await question
    await away.aclose()
