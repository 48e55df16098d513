"""What a monitor of commit 435fb32 left in a real Redis: the one of today goes on with it."""

import gzip
import json
from base64 import b64decode
from pathlib import Path

import pytest
from redis.asyncio import Redis

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.state import AlertPolicy, AlertState
from services.monitor.alerts.store import AlertStore
from services.monitor.answers.counter import AnswerCounter
from services.monitor.answers.domain.answers import Bucket, WindowRule, start_of
from services.monitor.canaries.store import CanaryStore
from services.monitor.drift.settings import DriftSettings
from services.monitor.drift.store import DriftStore
from services.monitor.drift.tally_keeper import TallyKeeper
from shared.errors import FencedError
from shared.records import Batch, Partition

pytestmark = pytest.mark.connected

FILE = Path(__file__).parents[2] / "unit" / "monitor" / "stored" / "state-435fb32.json.gz"
STORED = json.loads(gzip.decompress(FILE.read_bytes()))
SHOE = "canary-recall:g1:shoe"
QUERIES = Partition("search.queries.v1", 0)
RULE = WindowRule()


@pytest.fixture
async def stored(redis: Redis, namespace: str, clock) -> dict[str, bytes]:
    """Write the state as it was left, under the names that it had; return the memory of drift."""
    leader = f"{namespace}:{{monitor}}"
    drift = {name: b64decode(memory) for name, memory in STORED["drift"].items()}
    now = start_of(clock.now(), RULE.bucket)
    await redis.set(f"{leader}:fence", 7)
    await redis.hset(f"{leader}:alerts", mapping=STORED["alerts"])
    await redis.rpush(
        f"{leader}:outbox", AlertState.model_validate_json(STORED["alerts"][SHOE]).alert.encode()
    )
    await redis.hset(f"{leader}:canaries:g1:memory", mapping=STORED["canary memory"])
    await redis.hset(f"{leader}:canaries:g1:results", mapping=STORED["canary results"])
    await redis.hset(f"{leader}:drift", mapping=drift)
    for name, kind, fields, next_offset in (
        ("queries", "answers", {f"{now - 3}:total": 12, f"{now - 3}:zero": 3}, 41),
        ("drift-queries", "tallies", STORED["tallies"], 77),
    ):
        base = f"{namespace}:{{monitor-{name}-0}}"
        await redis.hset(f"{base}:state", mapping={"epoch": 3, "next": next_offset})
        await redis.hset(f"{base}:{kind}", mapping=fields)
    return drift


async def test_alerts_are_published_and_end_as_they_would_have(stored, redis, bus, namespace, clock):
    store = AlertStore(redis, bus, namespace=namespace, clock=clock)
    healthy = Observation(key=SHOE, breached=False, summary="s", action="a")
    with pytest.raises(FencedError):
        await store.observe([healthy], policy=AlertPolicy(), epoch=6)
    clock.forward(minutes=5)
    await store.observe([healthy], policy=AlertPolicy(), epoch=8)
    statuses = [Alert.decode(sent.value).status for sent in bus.on("alerts.v1")]
    assert statuses == ["firing", "resolved"], "what waited in the outbox, and its end"


async def test_canaries_and_drift_have_their_past(stored, redis, namespace):
    canaries = CanaryStore(redis, namespace, "g1")
    assert (await canaries.memories())["shoe"].recall.reference == 1.0
    assert [result.canary_id for result in await canaries.results()] == ["shoe"]
    drift = DriftStore(redis, namespace=namespace)
    assert await drift.load() == stored
    with pytest.raises(FencedError):
        await drift.store({}, epoch=6)
    await drift.store({"seen": b"{}"}, epoch=8)
    assert await drift.load() == {"seen": b"{}"}


async def test_answers_and_tallies_are_counted_on_from_their_offsets(stored, redis, namespace, clock):
    counter = AnswerCounter(redis, namespace=namespace, rule=RULE, clock=clock)
    assert await counter.assigned(QUERIES) == 41
    assert await counter.buckets(1) == {start_of(clock.now(), RULE.bucket) - 3: Bucket(total=12, zero=3)}
    keeper = TallyKeeper(redis, namespace=namespace, settings=DriftSettings(), generations=None, clock=clock)
    assert await keeper.assigned(QUERIES) == 77
    [(number, window)] = (await keeper.windows([QUERIES])).items()
    assert window["g1"].counts["answers"] == 20
    await keeper.handle(QUERIES, Batch([], 78))
    assert await keeper.assigned(QUERIES) == 78
    await keeper.drop([QUERIES], upto=number)
    assert await keeper.windows([QUERIES]) == {}
