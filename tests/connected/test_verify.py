"""`headrace verify` sees what is not as the topics say: a phantom, a wrong price, a lost pair."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from msgspec.structs import replace

from schemas.catalogue import Document, ProductChange
from schemas.judgements import Judgement
from schemas.search import SearchQuery
from schemas.topics import index_records
from services.embedder.domain.plan import hash_content
from services.embedder.settings import Settings as EmbedderSettings
from services.judgements.settings import Settings as JudgementSettings
from services.lab.verification.catalogue import ExpectedCatalogue
from services.lab.verification.index import verify_index
from services.lab.verification.judgements import verify_judgements
from services.shards.app import build
from services.shards.settings import Settings, ShardsSettings
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.ports import outgoing
from shared.records import Outgoing
from shared.settings import ClusterSettings
from tests.stamped import written
from tests.unit.shards.builders import NORTH, message

pytestmark = pytest.mark.connected
NOW = datetime.now(UTC)
SECRET = "the-secret-of-this-test"  # noqa: S105 - of no installation
QUICK, LONG = timedelta(0), timedelta(seconds=60)


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace, tmp_path) -> Settings:
    found = Settings(
        kafka=kafka,
        redis=redis_url,
        topic_prefix=topic_prefix,
        namespace=namespace,
        partitions=2,
        data_dir=tmp_path,
        cluster=ClusterSettings(secret=SECRET),
        shards=ShardsSettings(port=0),
    )
    await apply(found)
    return found


@pytest.fixture
async def publisher(settings) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(settings)
    await publisher.start()
    yield publisher
    await publisher.stop()


@pytest.fixture
async def shards(settings) -> AsyncIterator[None]:
    worker = build(settings)
    worker.server.bind()
    await worker.start()
    yield
    await worker.stop()


def common(settings: Settings, kind):
    names = {"kafka", "redis", "topic_prefix", "namespace", "partitions", "cluster"}
    return kind(**settings.model_dump(include=names))


def upsert(product_id: str, title: str) -> Outgoing:
    change = {"product_id": product_id, "op": "upsert", "version": 1, "fields": {"title": title}}
    return Outgoing(ProductChange.topic, product_id.encode(), orjson.dumps(change))


async def documents(settings: EmbedderSettings) -> Mapping[str, Document]:
    """Return what the changes on the broker amount to, with the places that they were given there."""
    catalogue = ExpectedCatalogue(settings.embedder)
    async with TopicReader(settings, [ProductChange.topic]) as reader:
        async for record in reader.news():
            catalogue.take(record)
    return catalogue.documents


def indexed(product_id: str, document: Document) -> Outgoing:
    """Return the index record that an embedder would write."""
    cut, title = EmbedderSettings().embedder.cut, str(document.fields["title"])
    record = message(
        product_id, NORTH, document=document, event_time=NOW, content_hash=hash_content(title, cut)
    )
    return Outgoing(index_records("g1").name, record.key(), record.encode())


async def test_an_index_is_equal_or_each_difference_is_said(settings, publisher, shards):
    checked = common(settings, EmbedderSettings)
    names = [f"p{number}" for number in range(8)]
    await publisher.publish([upsert(name, name) for name in names])
    merged = await documents(checked)
    await publisher.publish([indexed(name, merged[name]) for name in names])
    verdict = await verify_index(checked, LONG)
    assert verdict.differences == []
    assert (verdict.figures["products"], verdict.figures["shards"]) == (8, 2)

    phantom = indexed("phantom", written({"title": "x"}))
    forged = indexed("p3", replace(merged["p3"], fields={"title": "forged"}))
    await publisher.publish([upsert("lost", "x"), phantom, forged])
    bad = Outgoing(ProductChange.topic, b"p1", b"{")
    await publisher.publish([bad])
    async with asyncio.timeout(60):
        while len(found := (await verify_index(checked, QUICK)).differences) != 5:
            pass  # each look waits for broker, Redis and shards
    told = "\n".join(found)
    assert "json.invalid" in told
    assert "product lost: in the catalogue, not in the index" in told
    assert "product phantom: in the index, not in the catalogue" in told
    assert 'product p3: title is "forged", its changes say "p3"' in told
    assert "product p3: embedded from a text of hash" in told


async def test_a_shard_that_nobody_serves_is_a_difference(settings):
    verdict = await verify_index(common(settings, EmbedderSettings), QUICK)
    assert verdict.differences == ["shard 0: nobody serves it", "shard 1: nobody serves it"]


def judged(query: str, product_id: str, impressions: int, grade: float = 1.5) -> Judgement:
    today = NOW.date()
    return Judgement(
        query=query,
        product_id=product_id,
        window_start=today,
        window_end=today,
        impressions=impressions,
        shoppers=0,
        value=1.0,
        grade=grade,
        updated_at=NOW,
    )


async def test_judgements_are_equal_or_each_difference_is_said(settings, publisher):
    checked = common(settings, JudgementSettings)
    asked = SearchQuery(
        query_id="q", user_query="Lamp", timestamp=NOW, query_response_object_ids=("a", "b"), client_id="c"
    )
    await publisher.publish(
        [outgoing(asked), outgoing(judged("lamp", "a", 1)), outgoing(judged("lamp", "b", 1))]
    )
    assert (await verify_judgements(checked, QUICK)).differences == []
    await publisher.publish(
        [
            outgoing(judged("lamp", "a", 2)),
            Outgoing(Judgement.topic, judged("lamp", "b", 1).key(), None),
            outgoing(judged("sofa", "a", 1)),
        ]
    )
    assert len((await verify_judgements(checked, QUICK)).differences) == 3
    done = await headrace(settings, "verify", "judgements", "--wait", "0", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["equal"], report["difference_count"]) == (1, False, 3)
    shown = await headrace(settings, "verify", "judgements", "--wait", "0")
    assert "judgements: 3 differences; 1 queries" in shown.stdout


async def test_a_grade_that_does_not_follow_from_the_counts_is_said(settings, publisher):
    checked = common(settings, JudgementSettings)
    asked = SearchQuery(
        query_id="q", user_query="Lamp", timestamp=NOW, query_response_object_ids=("a",), client_id="c"
    )
    await publisher.publish([outgoing(asked), outgoing(judged("lamp", "a", 1, grade=2.0))])
    [difference] = (await verify_judgements(checked, QUICK)).differences
    assert "do not follow" in difference


async def headrace(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "HEADRACE_KAFKA": settings.kafka,
        "HEADRACE_REDIS": settings.redis.get_secret_value(),
        "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
        "HEADRACE_NAMESPACE": settings.namespace,
        "HEADRACE_DATA_DIR": str(settings.data_dir),
    }
    command = [sys.executable, "-m", "services.cli.main", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env=env
    )
