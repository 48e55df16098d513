"""Who serves: what search reads from a real Redis, and what it does without it."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from services.search.owners import Owners, or_last_known
from services.search.settings import Settings
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.errors import TransientError
from shared.state.redis import connect

pytestmark = pytest.mark.connected
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ALWAYS = timedelta(0)
LONG = timedelta(hours=1)


def owner(url):
    return OwnerRecord(
        url=url,
        instance=url,
        partition=0,
        partitions=1,
        epoch=1,
        next_offset=0,
        end_offset=0,
        ready=True,
        updated_at=NOW,
    )


@pytest.fixture
async def redis(own_valkey):
    client = connect(Settings(redis=SecretStr(own_valkey.address)))
    yield client
    await client.aclose()


async def test_a_list_of_owners_is_kept_until_it_is_old_or_forgotten(redis, namespace):
    registry = OwnerRegistry(redis, namespace, "g1")
    owners = Owners(redis, namespace, ttl=LONG)
    await registry.announce(owner("http://a"), LONG)
    assert [each.url for each in await owners.of("g1")] == ["http://a"]
    await registry.announce(owner("http://b"), LONG)
    assert len(await owners.of("g1")) == 1
    owners.forget("g1")
    assert len(await owners.of("g1")) == 2
    assert await owners.of("g2") == []


async def test_an_owner_that_can_no_longer_announce_itself_is_still_asked(redis, namespace):
    registry, moment = OwnerRegistry(redis, namespace, "g1"), timedelta(milliseconds=20)
    owners = Owners(redis, namespace, ttl=ALWAYS)
    await registry.announce(owner("http://a"), moment)
    while await registry.owners():
        pass
    assert [each.url for each in await owners.of("g1")] == ["http://a"]
    restarted = Owners(redis, namespace, ttl=ALWAYS)
    assert [each.url for each in await restarted.of("g1")] == ["http://a"]
    await registry.announce(owner("http://b"), LONG)
    assert [each.url for each in await owners.of("g1")] == ["http://b"]


async def test_an_owner_that_took_its_announcement_back_is_not_asked(redis, namespace):
    registry = OwnerRegistry(redis, namespace, "g1")
    await registry.announce(owner("http://a"), LONG)
    await registry.withdraw(owner("http://a"))
    assert await Owners(redis, namespace, ttl=ALWAYS).of("g1") == []


async def test_an_emptied_redis_does_not_empty_the_list(redis, namespace):
    await OwnerRegistry(redis, namespace, "g1").announce(owner("http://a"), LONG)
    owners = Owners(redis, namespace, ttl=ALWAYS)
    assert len(await owners.of("g1")) == 1
    await redis.flushall()
    assert len(await owners.of("g1")) == 1


def test_the_last_owner_of_another_layout_is_not_asked():
    living, other = owner("http://a"), owner("http://b").model_copy(update={"partition": 1, "partitions": 2})
    assert or_last_known([living], [living, other]) == [living]
    assert or_last_known([], [other]) == [other]


async def test_while_redis_is_away_the_last_owners_are_used(redis, namespace, own_valkey):
    await OwnerRegistry(redis, namespace, "g1").announce(owner("http://a"), LONG)
    owners = Owners(redis, namespace, ttl=ALWAYS)
    assert len(await owners.of("g1")) == 1
    own_valkey.kill()
    assert len(await owners.of("g1")) == 1
    with pytest.raises(TransientError):
        await owners.of("g2")


async def test_while_redis_hangs_only_the_first_search_waits_for_it(redis, namespace):
    await OwnerRegistry(redis, namespace, "g1").announce(owner("http://a"), LONG)
    owners = Owners(redis, namespace, ttl=ALWAYS)
    last = await owners.of("g1")
    process = (await redis.info("server"))["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        assert await owners.of("g1") == last, "it has waited, as long as it may"
        with pytest.raises(StopIteration) as returned:
            owners.of("g1").send(None)  # this one waits for nothing
        assert returned.value.value == last
    finally:
        os.kill(process, signal.SIGCONT)


async def test_a_search_that_starts_while_redis_takes_no_writes_asks_whoever_owned_last(redis, namespace):
    registry = OwnerRegistry(redis, namespace, "g1")
    await registry.announce(owner("http://a"), timedelta(milliseconds=300))
    await redis.replicaof("127.0.0.1", "1")
    while await registry.owners():
        pass
    assert [each.url for each in await Owners(redis, namespace, ttl=ALWAYS).of("g1")] == ["http://a"]
