"""One contract for the publisher: the fake keeps it, and so does Kafka."""

import os
from datetime import UTC, datetime

import pytest
import stamina
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.errors import PoisonError, TransientError
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.records import Outgoing
from shared.settings import Settings
from shared.testing.publisher import MemoryPublisher

pytestmark = pytest.mark.connected
TOPIC = "search.events.v1"


@pytest.fixture(params=["memory", "kafka"])
async def written(request, kafka, topic_prefix):
    """Yield a publisher, and a function that returns what it wrote to one partition."""
    if request.param == "memory":
        fake = MemoryPublisher()

        async def kept(count):
            return [(each.key, each.value, each.headers) for each in fake.of(TOPIC)][:count]

        yield fake, kept
        return
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=1)
    await apply(settings)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    consumer = AIOKafkaConsumer(
        topic_prefix + TOPIC, bootstrap_servers=kafka, auto_offset_reset="earliest", fetch_max_bytes=2**24
    )
    await consumer.start()

    async def read(count):
        records = [await consumer.getone() for _ in range(count)]
        return [(each.key, each.value, tuple(each.headers)) for each in records]

    yield publisher, read
    await consumer.stop()
    await publisher.stop()


async def test_what_is_published_is_there_whole_and_in_order(written):
    publisher, read = written
    messages = [
        Outgoing(TOPIC, b"\x00k%d" % number, b"\xff" * (number % 7 * 20_000), (("h", b"\xfe"),))
        for number in range(60)
    ]
    await publisher.publish(messages)
    assert await read(60) == [(each.key, each.value, each.headers) for each in messages]


async def test_publishing_nothing_writes_nothing(written):
    publisher, read = written
    await publisher.publish([])
    assert await read(0) == []


async def publish_on(publisher):
    while True:
        await publisher.publish([Outgoing(TOPIC, b"k", b"v")])


async def test_a_topic_that_refuses_the_time_of_our_clock_is_waited_for(kafka, topic_prefix, broker):
    if isinstance(broker, EmbeddedBroker):
        pytest.skip("it takes every time")
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=1)
    await apply(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    config = {"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": "0"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic_prefix + TOPIC, config)])
    await admin.close()
    publisher = KafkaPublisher(settings)
    await publisher.start()
    with pytest.raises(TransientError, match="our clock") as refused:
        await publish_on(publisher)  # until the broker heeds it
    assert refused.value.cause == "kafka.clock"
    with pytest.raises(PoisonError, match="time_refused"):
        await publisher.publish([Outgoing(TOPIC, b"k", b"v", timestamp=datetime(2001, 1, 1, tzinfo=UTC))])
    await apply(settings)
    async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=30):
        with attempt:
            await publisher.publish([Outgoing(TOPIC, b"k", b"v")])
    await publisher.stop()


async def test_what_is_too_large_for_its_topic_is_its_own_fault_and_the_next_is_written(kafka, topic_prefix):
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=1)
    await apply(settings)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    sizes = [1, 3_000_000, 2, 5_000_000, 3, 3_000_000, 4]  # a broker takes 2 MiB there, our producer 4
    for size in sizes:
        message = Outgoing(f"{TOPIC}.dlq", b"k", os.urandom(size))
        if size < 100:
            await publisher.publish([message])
            continue
        with pytest.raises(PoisonError, match="too_large"):
            await publisher.publish([Outgoing(f"{TOPIC}.dlq", b"k", b"before"), message])
    await publisher.stop()
    async with TopicReader(settings, [f"{TOPIC}.dlq"]) as reader:
        written = [len(record.value) async for record in reader.news() if record.value != b"before"]
    assert written == [1, 2, 3, 4]


async def test_a_message_without_key_and_value_is_written_among_others(written):
    publisher, read = written
    headers = (("ce_id", b"e"),)
    await publisher.publish(
        [Outgoing(TOPIC, None, b"1"), Outgoing(TOPIC, None, None, headers), Outgoing(TOPIC, None, b"2")]
    )
    assert await read(3) == [(None, b"1", ()), (None, None, headers), (None, b"2", ())]
