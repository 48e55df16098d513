"""One contract for the publisher: the fake keeps it, and so does Kafka."""

import pytest
from aiokafka import AIOKafkaConsumer

from shared.adapters.kafka import KafkaPublisher
from shared.errors import FatalError
from shared.infrastructure.topics import apply
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


async def test_a_message_larger_than_the_broker_takes_stops_the_process(kafka, topic_prefix):
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=1)
    await apply(settings)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    with pytest.raises(FatalError, match="too large"):
        await publisher.publish([Outgoing(TOPIC, b"k", b"x" * 5_000_000)])
    await publisher.stop()


async def test_a_message_without_key_and_value_is_written_among_others(written):
    publisher, read = written
    headers = (("ce_id", b"e"),)
    await publisher.publish(
        [Outgoing(TOPIC, None, b"1"), Outgoing(TOPIC, None, None, headers), Outgoing(TOPIC, None, b"2")]
    )
    assert await read(3) == [(None, b"1", ()), (None, None, headers), (None, b"2", ())]
