"""Who serves: what search reads from a real Redis, and what it does without it."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from services.search.owners import Owners
from services.search.settings import Settings
from shared.adapters.redis import connect
from shared.errors import TransientError
from shared.registry import OwnerRecord, Registry

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
    registry = Registry(redis, namespace, "g1")
    owners = Owners(redis, namespace, ttl=LONG)
    await registry.announce(owner("http://a"), LONG)
    assert [each.url for each in await owners.of("g1")] == ["http://a"]
    await registry.announce(owner("http://b"), LONG)
    assert len(await owners.of("g1")) == 1
    owners.forget("g1")
    assert len(await owners.of("g1")) == 2
    assert await owners.of("g2") == []


async def test_while_redis_is_away_the_last_owners_are_used(redis, namespace, own_valkey):
    await Registry(redis, namespace, "g1").announce(owner("http://a"), LONG)
    owners = Owners(redis, namespace, ttl=ALWAYS)
    assert len(await owners.of("g1")) == 1
    own_valkey.kill()
    assert len(await owners.of("g1")) == 1
    with pytest.raises(TransientError):
        await owners.of("g2")
