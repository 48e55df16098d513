"""The schema registry for real (Apicurio in `REGISTRY_HOME`), down to what a partition reader reads."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.avro import AvroSerializer

from schemas.alerts import Alert
from schemas.catalogue import ProductChange
from shared.catalogue.changes import reading_of
from shared.clock import SystemClock
from shared.infrastructure.process import free_port
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.records import Applied, Outgoing, Partition
from shared.settings import Settings
from shared.streaming.loop import PartitionLoop, Subscription
from tests.contracts.schema_registry import SchemaRegistryContract, client, context
from tests.schema_registries import Apicurio, StandIn, register, stand_in

pytestmark = pytest.mark.connected
TOPIC = ProductChange.topic
AT = Partition(TOPIC, 0)
SCHEMA = {
    "type": "record",
    "name": "Change",
    "fields": [{"name": name, "type": "string"} for name in ("product_id", "op")]
    + [{"name": "fields", "type": {"type": "map", "values": "string"}}],
}


@pytest.fixture(scope="module")
def apicurio(tmp_path_factory):
    registry = Apicurio(tmp_path_factory.mktemp("registry"))
    registry.start()
    yield registry
    registry.stop()


class TestApicurio(SchemaRegistryContract):
    @pytest.fixture
    def url(self, apicurio):
        return apicurio.url


class Reader:
    """A handler that keeps the changes it is given."""

    def __init__(self):
        self.ids = []
        self.next_offset = None
        self.changed = asyncio.Condition()

    async def assigned(self, partition, source):
        return self.next_offset

    def decode(self, record):
        return reading_of(record).change

    async def handle(self, partition, batch):
        self.ids += [change.product_id for _, change in batch.messages]
        self.next_offset = batch.next_offset
        async with self.changed:
            self.changed.notify_all()
        return Applied(len(batch.messages))

    async def revoked(self, partition):
        pass

    async def until(self, offset):
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: (self.next_offset or 0) >= offset)


@asynccontextmanager
async def reading(kafka, redis_url, names, **registry):
    """Give a handler whose loop reads the topic, and the publisher."""
    settings = Settings.load(kafka=kafka, redis=redis_url, partitions=1, registry=registry, **names)
    await apply(settings)
    publisher, reader = KafkaPublisher(settings), Reader()
    await publisher.start()
    subscription = Subscription(name="reader")
    loop = PartitionLoop(
        settings, reader, subscription=subscription, publisher=publisher, clock=SystemClock()
    )
    await loop.start()
    await loop.assign(AT)
    try:
        yield reader, publisher, settings
    finally:
        await loop.stop()
        await publisher.stop()


@pytest.fixture
def names(topic_prefix, namespace):
    return {"topic_prefix": topic_prefix, "namespace": namespace}


async def written(settings, topic):
    async with TopicReader(settings, [topic]) as reader:
        return [record async for record in reader.news()]


def change(serializer, product_id):
    state = {"product_id": product_id, "op": "upsert", "fields": {"title": "Shoe"}}
    return Outgoing(TOPIC, None, serializer(state, context(TOPIC)), partition=0)


async def test_a_registry_that_comes_back_is_gone_on_with(apicurio, kafka, redis_url, names):
    serializer = AvroSerializer(client(apicurio.url), Schema(json.dumps(SCHEMA), "AVRO"))
    site = StandIn()
    port = free_port()
    async with reading(kafka, redis_url, names, url=f"http://127.0.0.1:{port}") as (reader, publisher, _):
        plain = Outgoing(TOPIC, b"P-0", b'{"op":"upsert","version":1,"fields":{"title":"Sock"}}', partition=0)
        await publisher.publish([plain])
        await reader.until(1)
        first = change(serializer, "P-1")
        site.schemas.append({"id": int.from_bytes(first.value[1:5], "big"), "schema": json.dumps(SCHEMA)})
        await publisher.publish([first, plain])
        for status in (503, 401):
            site.status = status
            with stand_in(port, site):
                await asyncio.to_thread(site.wait_for, 2)
            assert reader.ids == ["P-0"]
        site.status = 200
        with stand_in(port, site):
            await reader.until(3)
        assert reader.ids == ["P-0", "P-1", "P-0"]


async def test_rubbish_that_starts_with_a_zero_byte_stops_a_partition_for_its_patience_only(
    apicurio, kafka, redis_url, names
):
    schema_id = register(apicurio.url, "changes", "AVRO", json.dumps(SCHEMA))
    registry = {"url": apicurio.url, "patience": timedelta(seconds=1)}
    async with reading(kafka, redis_url, names, **registry) as (reader, publisher, settings):
        serializer = AvroSerializer(client(apicurio.url), Schema(json.dumps(SCHEMA), "AVRO"))
        rubbish = [b"\0" + (900_000 + n).to_bytes(4, "big") + b"rubbish" for n in range(300)]
        cut = b"\0" + schema_id.to_bytes(4, "big") + b"\x7f"
        messages = [Outgoing(TOPIC, None, value, partition=0) for value in (*rubbish, cut)]
        await publisher.publish([*messages, change(serializer, "P-1")])
        await reader.until(302)
        assert reader.ids == ["P-1"]
        letters = await written(settings, f"{TOPIC}.dlq")
        assert [letter.value for letter in letters] == [*rubbish, cut]
        reasons = [letter.header("headrace.reason") for letter in letters]
        assert reasons == [b"schema.unknown"] * 300 + [b"schema.mismatch"]
        [alert] = [Alert.decode(record.value) for record in await written(settings, Alert.topic)]
        assert alert.alert_key == f"schema-unknown:{TOPIC}"
