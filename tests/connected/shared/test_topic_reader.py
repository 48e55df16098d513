"""Whole topics are read: from the beginning to the end, and then what is new."""

import asyncio

import pytest

from schemas.base import milliseconds
from schemas.control import OffsetRange
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.process import free_port
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.records import Outgoing, Partition
from shared.settings import Settings

pytestmark = pytest.mark.connected
TOPIC = "search.events.v1"


@pytest.fixture
async def settings(kafka, topic_prefix):
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)
    await apply(settings)
    return settings


async def write(settings, *numbers):
    publisher = KafkaPublisher(settings)
    await publisher.start()
    await publisher.publish(
        [Outgoing(TOPIC, b"k", b"%d" % number, partition=number % 3) for number in numbers]
    )
    await publisher.stop()


async def values(records):
    return sorted(int(record.value) for record in [each async for each in records])


async def test_everything_there_is_then_what_is_new_each_once(settings):
    await write(settings, *range(100))
    async with TopicReader(settings, [TOPIC, "no.such.topic"]) as reader:
        assert await values(reader.news()) == list(range(100))
        assert await values(reader.news()) == []
        await write(settings, 100, 101)
        assert await values(reader.news()) == [100, 101]
        assert reader.ends == {Partition(TOPIC, 0): 34, Partition(TOPIC, 1): 34, Partition(TOPIC, 2): 34}


async def test_of_topics_that_do_not_exist_there_is_nothing_to_read(settings):
    async with TopicReader(settings, ["no.such.topic"]) as reader:
        assert await values(reader.news()) == []


async def test_the_last_of_each_partition(settings):
    await write(settings, *range(50), 48)
    async with TopicReader(settings, [TOPIC]) as reader:
        assert await values(reader.last()) == [47, 48, 49]


async def test_ranges_and_nothing_else(settings):
    await write(settings, *range(60))
    ranges = [
        OffsetRange(topic=TOPIC, partition=0, start=3, end=5),
        OffsetRange(topic=TOPIC, partition=2, start=19, end=20),
    ]
    async with TopicReader(settings, [TOPIC]) as reader:
        assert await values(reader.within(ranges)) == [9, 12, 59]
        assert await values(reader.within(ranges[:1])) == [9, 12]
        with pytest.raises(ConfigurationError, match=f"{TOPIC}-1 ends at 20, before 21"):
            await values(reader.within([OffsetRange(topic=TOPIC, partition=1, start=0, end=21)]))


async def test_many_readers_at_once_all_find_the_partitions_of_topics_just_made(settings):
    async def read():
        async with TopicReader(settings, [f"{TOPIC}.dlq", TOPIC]) as reader:
            return len(reader.beginnings)

    assert await asyncio.gather(*(read() for _ in range(10))) == [4] * 10


async def test_a_broker_that_is_away_is_said():
    with pytest.raises(TransientError, match="no broker answers"):
        async with TopicReader(Settings(kafka=f"127.0.0.1:{free_port()}"), [TOPIC]):
            pytest.fail("nobody is there")


async def test_what_was_appended_since_and_everything_again(settings):
    await write(settings, *range(9))
    async with TopicReader(settings, [TOPIC]) as reader:
        before = [record async for record in reader.news()]
        since = max(milliseconds(record.timestamp) for record in before) + 1
        assert await reader.offset_at(Partition(TOPIC, 0), since) is None
        await write(settings, 9, 10)
        assert await values(reader.since(since)) == [9, 10]
        assert await reader.offset_at(Partition(TOPIC, 0), since) == 3
        assert await values(reader.since(0)) == list(range(11))
        reader.rewind(TOPIC)
        assert await values(reader.news()) == list(range(11))
