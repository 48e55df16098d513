"""A real Redis that answers, but will not: a pause that names it, and work as soon as it will."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import pytest
from redis import Redis as AdministratorClient
from redis.asyncio import Redis

from shared.cluster.lease import Lease
from shared.errors import TransientError
from shared.infrastructure.server import Server
from shared.settings import Settings
from shared.state.fenced import FencedState, StateKeys
from shared.state.hash import RedisHash
from shared.state.redis import connect

pytestmark = pytest.mark.connected
KEYS = StateKeys("faults:{refused}:")
CONFIGURED = {
    "redis.full": ("maxmemory", "1", "0"),
    "redis.no-replicas": ("min-replicas-to-write", "1", "0"),
}


@pytest.fixture
def administrator(own_valkey: Server) -> Iterator[AdministratorClient]:
    with AdministratorClient.from_url(own_valkey.address) as client:
        yield client


def refuse(administrator: AdministratorClient, cause: str) -> Callable[[], object]:
    """Make the server refuse writes for this cause; return what makes it take them again."""
    if cause in CONFIGURED:
        name, refusing, willing = CONFIGURED[cause]
        administrator.config_set(name, refusing)
        return lambda: administrator.config_set(name, willing)
    if cause == "redis.read-only":
        administrator.replicaof("127.0.0.1", "1")
        return lambda: administrator.replicaof("NO", "ONE")
    administrator.execute_command("ACL SETUSER", "worker", "-hset", "-hincrby")
    return lambda: administrator.execute_command("ACL SETUSER", "worker", "+@all")


@pytest.mark.parametrize("cause", [*CONFIGURED, "redis.read-only", "redis.forbidden"])
async def test_state_waits_with_the_cause_and_counts_once_when_it_may_be_written_again(
    administrator: AdministratorClient, own_valkey: Server, cause: str
) -> None:
    administrator.execute_command("ACL SETUSER", "worker", "on", ">secret", "~*", "+@all")
    redis = client(own_valkey, "worker:secret@")
    state = RedisHash(redis, "counts")
    held = await state.claim(KEYS)
    await state.add(held, {"seen": 1}, next_offset=1)
    allow = refuse(administrator, cause)
    with pytest.raises(TransientError) as pause:
        await state.add(held, {"seen": 1}, next_offset=2)
    assert pause.value.cause == cause
    assert await state.read(KEYS) == {"seen": "1"}  # reading goes on
    allow()
    assert await state.add(held, {"seen": 1}, next_offset=2)
    assert await state.read(KEYS) == {"seen": "2"}
    await redis.aclose()


async def test_a_lease_is_not_lost_because_redis_is_full(
    administrator: AdministratorClient, own_valkey: Server
) -> None:
    redis = client(own_valkey)
    lease = Lease(redis, "faults", owner="we", ttl=timedelta(minutes=1))
    epoch = await lease.acquire()
    allow = refuse(administrator, "redis.read-only")
    await transient_with("redis.read-only", lease.renew)
    allow()
    assert await lease.renew()
    assert (await lease.acquire() or 0) > (epoch or 0)
    await redis.aclose()


async def test_a_password_that_was_changed_is_named_and_its_return_is_enough(
    administrator: AdministratorClient, own_valkey: Server
) -> None:
    administrator.execute_command("ACL SETUSER", "worker", "on", ">first", "~*", "+@all")
    redis = client(own_valkey, "worker:first@")
    state = RedisHash(redis, "counts")
    held = await state.claim(KEYS)
    administrator.execute_command("ACL SETUSER", "worker", "resetpass", ">second")
    administrator.client_kill_filter(_type="normal", skipme=True)
    await transient_with("redis.credentials", lambda: written(state, held))
    administrator.execute_command("ACL SETUSER", "worker", ">first")
    assert await written(state, held)
    await redis.aclose()


def client(server: Server, credentials: str = "") -> Redis:
    return connect(Settings(redis=server.address.replace("redis://", f"redis://{credentials}")))


def written(state: RedisHash, held: FencedState) -> Awaitable[bool]:
    return state.add(held, {"seen": 1}, next_offset=1)


async def transient_with(cause: str, attempt: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(TransientError) as pause:
        await attempt()
    assert pause.value.cause == cause
