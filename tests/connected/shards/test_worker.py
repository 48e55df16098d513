"""The shards worker on a real broker and a real Redis: records in, answers out, leases move."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from schemas.alerts import Alert
from schemas.shard_api import ShardQueryRequest
from schemas.topics import index_records
from services.shards.app import build
from services.shards.settings import Settings, ShardsSettings
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.infrastructure.topics import apply
from shared.kafka.compacted import CompactedTopic
from shared.kafka.partitioning import partition_of
from shared.kafka.publisher import KafkaPublisher
from shared.process.worker import Worker
from shared.records import Outgoing
from shared.state.redis import connect
from shared.streaming import dead_letter_topic as dead_letters
from tests.unit.shards.builders import EAST, FINGERPRINT, NORTH, SOUTH, message

pytestmark = pytest.mark.connected
TOPIC = index_records("g1").name


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace, tmp_path) -> Settings:
    found = Settings(
        kafka=kafka,
        redis=redis_url,
        topic_prefix=topic_prefix,
        namespace=namespace,
        partitions=2,
        data_dir=tmp_path,
        shards=ShardsSettings(
            port=0,
            lease=timedelta(seconds=2),
            checkpoint_every=timedelta(seconds=1),
        ),
    )
    await apply(found)
    return found


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Worker]:
    worker = build(settings)
    worker.server.bind()
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    publisher = KafkaPublisher(settings)
    await publisher.start()

    async def publish(*messages):
        await publisher.publish(
            [
                Outgoing(TOPIC, each.encode(), None)
                if isinstance(each, str)
                else Outgoing(TOPIC, b"a", each)
                if isinstance(each, bytes)
                else Outgoing(TOPIC, each.key(), each.encode())
                for each in messages
            ]
        )

    try:
        yield publish
    finally:
        await publisher.stop()


async def owners(settings: Settings, ready: Callable[[list[OwnerRecord]], bool]) -> list[OwnerRecord]:
    redis = connect(settings)
    registry = OwnerRegistry(redis, settings.namespace, settings.generation)
    try:
        async with asyncio.timeout(30):
            while not ready(found := await registry.owners()):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.05)
        return found
    finally:
        await redis.aclose()


def all_ready(found: list[OwnerRecord]) -> bool:
    return sorted(each.partition for each in found) == [0, 1] and all(each.ready for each in found)


def body(vector=None, **other) -> bytes:
    encoded = base64.b64encode(vector.astype("<f4").tobytes()).decode() if vector is not None else None
    question = {
        "generation": "g1",
        "partitions": [0, 1],
        "vector": encoded,
        "fingerprint": FINGERPRINT,
        "text": None,
        "mode": "hybrid",
        "filters": [],
        "k": 5,
        "exact": False,
        "min_offsets": None,
        "timeout_ms": 5000,
    }
    return ShardQueryRequest.model_validate({**question, **other}).model_dump_json().encode()


async def found(url: str, **question) -> dict[str, dict]:
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"{url}/query", content=body(**question))
    assert reply.status_code == 200, reply.text
    return {hit["product_id"]: hit for each in reply.json()["partitions"] for hit in each["hits"]}


async def test_what_is_published_is_found_and_what_is_deleted_is_gone(settings):
    async with running(settings) as worker, publishing(settings) as publish:
        await owners(settings, all_ready)
        now = datetime.now(UTC)
        names = [f"p{number}" for number in range(20)]
        await publish(
            *(message(name, NORTH, fields={"title": f"shoe {name}"}, event_time=now) for name in names)
        )
        places = {
            partition: sum(partition_of(name.encode(), 2) == partition for name in names)
            for partition in (0, 1)
        }
        hits = await found(worker.server.url, vector=NORTH, text="shoes", min_offsets=places, k=20)
        assert sorted(hits) == sorted(names)
        assert all(hit["dense"] == pytest.approx(1) and hit["lexical"] > 0 for hit in hits.values())

        await publish(
            message("p3", SOUTH, fields={"title": "hat"}, source=1, event_time=now),
            "p4",
            message("p5", source=1, deleted=True, event_time=now),
        )
        for name in ("p3", "p4", "p5"):
            places[partition_of(name.encode(), 2)] += 1
        hits = await found(worker.server.url, vector=NORTH, text="hat", min_offsets=places, k=20)
        assert sorted(hits) == sorted(set(names) - {"p4", "p5"})
        assert hits["p3"]["dense"] == pytest.approx(-1)
        known = await owners(settings, lambda records: sum(each.next_offset for each in records) == 23)
        assert sum(each.documents for each in known) == 18
        assert all(each.freshness_p99 is not None and each.freshness_p99 < 5 for each in known)


async def test_an_owner_says_how_far_it_is_when_asked_for_more(settings):
    async with running(settings) as worker:
        await owners(settings, all_ready)
        async with httpx.AsyncClient() as client:
            reply = await client.post(
                f"{worker.server.url}/query", content=body(NORTH, min_offsets={"0": 7}, timeout_ms=50)
            )
            assert reply.status_code == 409
            assert reply.json() | {"explanation": ""} == {
                "reason": "behind",
                "explanation": "",
                "partition": 0,
                "next_offset": 0,
                "wanted": 7,
            }
            reply = await client.post(f"{worker.server.url}/query", content=body(NORTH, partitions=[5]))
            assert (reply.status_code, reply.json()["reason"]) == (409, "not.owner")


async def test_a_restart_goes_on_from_the_checkpoint_and_a_second_owner_takes_its_share(settings):
    async with publishing(settings) as publish:
        await publish(*(message(f"p{number}", EAST) for number in range(50)))
        async with running(settings):
            before = await owners(
                settings, lambda records: all_ready(records) and sum(r.documents for r in records) == 50
            )
        await publish(*(message(f"q{number}", EAST) for number in range(50)))
        async with running(settings) as first:
            known = await owners(
                settings, lambda records: all_ready(records) and sum(r.documents for r in records) == 100
            )
            assert min(each.epoch for each in known) > max(each.epoch for each in before)
            other = settings.model_copy(
                update={"data_dir": settings.data_dir / "other", "instance": "second"}
            )
            async with running(other) as second:
                urls = {first.server.url, second.server.url}
                known = await owners(
                    settings, lambda records: all_ready(records) and {each.url for each in records} == urls
                )
                assert sum(each.documents for each in known) == 100


async def test_what_cannot_be_used_is_a_dead_letter_and_the_shard_goes_on_without_it(settings):
    async with running(settings) as worker, publishing(settings) as publish:
        await publish(message("a", NORTH), message("a", SOUTH, fingerprint="f" * 16, source=1))
        await publish(b"\0garbage", message("a", EAST, source=2))
        home = partition_of(b"a", settings.partitions)
        await owners(settings, lambda known: all_ready(known) and known[home].next_offset >= 4)
        hits = await found(worker.server.url, vector=EAST)
        assert hits["a"]["dense"] == pytest.approx(1, abs=1e-3)
        letters = await dead_letters.read(settings, [f"{TOPIC}.dlq"], wanted=lambda _: True, limit=10)
        assert sorted(letter.reason for letter in letters) == ["fingerprint.mismatch", "record.invalid"]
        alerts = CompactedTopic(settings, Alert.topic)
        await alerts.start()
        assert f"fingerprint:g1-{home}".encode() in alerts.items
        await alerts.stop()


async def test_an_emptied_redis_gives_every_shard_a_new_epoch_and_loses_nothing(settings):
    async with running(settings) as worker, publishing(settings) as publish:
        await publish(*(message(f"p{number}", EAST) for number in range(20)))
        before = await owners(
            settings, lambda records: all_ready(records) and sum(r.documents for r in records) == 20
        )
        latest = max(each.epoch for each in before)
        redis = connect(settings)
        keys = [key async for key in redis.scan_iter(f"*{settings.namespace}*")]
        await redis.delete(*keys)
        await redis.aclose()
        await publish(*(message(f"q{number}", EAST) for number in range(20)))
        known = await owners(
            settings,
            lambda records: (
                all_ready(records)
                and all(each.epoch > latest for each in records)
                and sum(each.documents for each in records) == 40
            ),
        )
        assert len(await found(worker.server.url, vector=EAST, k=50)) == 40
        assert {each.url for each in known} == {worker.server.url}
