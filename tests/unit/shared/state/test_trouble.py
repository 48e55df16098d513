"""What Redis answers when it will not: a pause with its cause in words, or a fault."""

import pytest
from redis._parsers.base import BaseParser
from redis.asyncio import cluster
from redis.exceptions import ClusterError, RedisClusterException, SlotNotCoveredError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import TransientError
from shared.state.redis import transient
from shared.state.trouble import pause_of

PAUSES = {
    "OOM command not allowed when used memory > 'maxmemory'. script: 9f, on @user_script:4.": "redis.full",
    "READONLY You can't write against a read only replica.": "redis.read-only",
    "MISCONF Errors writing to the AOF file: No space left on device": "redis.disk",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "redis.no-master",
    "LOADING Valkey is loading the dataset in memory": "redis.loading",
    "CLUSTERDOWN Hash slot not served": "redis.cluster-down",
    "TRYAGAIN Multiple keys request during rehashing of slot": "redis.resharding",
    "MOVED 3999 127.0.0.1:6381": "redis.resharding",
    "ASK 3999 127.0.0.1:6381": "redis.resharding",
    "NOREPLICAS Not enough good replicas to write.": "redis.no-replicas",
    "BUSY Valkey is busy running a script. You can only call SCRIPT KILL.": "redis.busy",
    "NOPERM User default has no permissions to run the 'evalsha' command": "redis.forbidden",
    "ERR ACL failure in script: User worker has no permissions to run the 'hset' command": "redis.forbidden",
    "NOAUTH Authentication required.": "redis.credentials",
    "WRONGPASS invalid username-password pair or user is disabled.": "redis.credentials",
    "DENIED Redis is running in protected mode": "redis.forbidden",
    "ERR max number of clients reached": "redis.connections",
    "ERR Error running script (call to f_1): @user_script:4: -OOM command not allowed": "redis.full",
    "Command # 1 (HSET k f v) of pipeline caused error: MISCONF Valkey cannot save": "redis.disk",
}
FAULTS = (
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR unknown command 'BUSY'",
    "ERR user_script:1: Script attempted to access nonexistent global variable",
    "FENCED 1700000000000001",
    "OLDER epoch 7",
    "GONE",
)


@pytest.mark.parametrize(("answer", "cause"), PAUSES.items())
def test_what_passes_is_a_pause_that_says_what_is_wrong_and_what_to_do(answer: str, cause: str) -> None:
    pause = pause_of(BaseParser.parse_error(answer))
    assert pause is not None
    assert pause.cause == cause
    assert pause.fix
    assert str(pause).endswith(pause.fix)
    assert answer.split(" ", 1)[1][:20] in str(pause)  # what Redis itself said


@pytest.mark.parametrize("answer", FAULTS)
def test_what_waiting_does_not_mend_stays_the_error_that_it_is(answer: str) -> None:
    error = BaseParser.parse_error(answer)
    assert pause_of(error) is None
    with pytest.raises(type(error)), transient():
        raise error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RedisConnectionError("Connection closed by server."), "redis.away"),
        (RedisConnectionError("Error 1: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "redis.certificate"),
        (RedisTimeoutError("Timeout reading from 127.0.0.1:6379"), "redis.away"),
        (ConnectionResetError(104, "Connection reset by peer"), "redis.away"),
        (RedisClusterException("Redis Cluster cannot be connected."), "redis.cluster-down"),
        (SlotNotCoveredError('Slot "7" is not covered by the cluster.'), "redis.cluster-down"),
        (ClusterError("TTL exhausted."), "redis.cluster-down"),
    ],
)
def test_a_redis_that_cannot_be_reached_is_a_pause(error: Exception, cause: str) -> None:
    with pytest.raises(TransientError) as pause, transient():
        raise error
    assert pause.value.cause == cause
    assert str(error) in str(pause.value)


async def test_a_cluster_client_that_breaks_while_its_nodes_change_is_a_pause() -> None:
    client = cluster.RedisCluster("127.0.0.1", 6379)
    client.nodes_manager = None
    with pytest.raises(TransientError) as pause, transient():
        await client.execute_command("GET", "key")
    assert pause.value.cause == "redis.cluster-down"


def test_a_fault_of_our_own_beside_a_command_is_no_pause() -> None:
    with pytest.raises(AttributeError), transient():
        _ = None.nothing  # type: ignore[attr-defined]
