"""What the broker accepts and no client of ours would write, and transactions, on a real broker."""

import asyncio
import os
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.infrastructure.topics import apply
from shared.kafka.compacted import read_once
from shared.kafka.consumer import RecordConsumer
from shared.kafka.topic_reader import TopicReader
from shared.records import Partition
from shared.settings import Settings
from tests.raw_batches import CODECS, batch, body, number, produce

pytestmark = pytest.mark.connected
TOPIC = "catalogue.changes.v1"
AT = Partition(TOPIC, 0)
GOOD = batch(body(0, b"good"))


@pytest.fixture
async def settings(kafka, topic_prefix):
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=1)
    await apply(settings)
    return settings


@pytest.fixture
async def consumer(settings):
    consumer = RecordConsumer(settings, reset="none")
    await consumer.start()
    consumer.assign([AT])
    consumer.seek(AT, 0)
    yield consumer
    await consumer.stop()


async def written(settings, raw):
    """Write a batch as it is; skip the test where the broker refuses it."""
    try:
        return await produce(settings, TOPIC, 0, raw)
    except KafkaError as error:
        pytest.skip(f"this broker refuses it: {error!r}")


async def until(consumer, offset):
    records = []
    async with asyncio.timeout(60):
        while await consumer.position(AT) < offset:
            records += await consumer.read(AT, wait=timedelta(milliseconds=200))
    return records


HOSTILE = {
    "a header's name that is not UTF-8": (
        batch(body(0, b"v", headers=[(b"\xff\xfe", b"v")])),
        "header.invalid",
    ),
    "a null header": (batch(body(0, b"v", headers=[(b"a", None), (b"a", b"2")])), None),
    "neither key nor value": (batch(body(0, None, key=None)), None),
    "-3 headers": (batch(body(0, b"v", count=-3)), "record.malformed"),
    "a trillion headers": (batch(body(0, b"v", count=10**12)), "record.malformed"),
    "no records": (batch(), None),
    "no timestamp": (batch(body(0, b"v"), timestamp=-1), None),
    "a timestamp beyond all years": (batch(body(0, b"v"), timestamp=2**62), None),
    "an unknown codec": (batch(codec=7, content=b"?", count=3), "batch.unreadable"),
    "what is no gzip": (batch(codec=1, content=b"?", count=3), "batch.unreadable"),
    "an attribute to come": (batch(body(0, b"v"), attributes=0x40), None),
    **{f"codec {codec}": (batch(body(0, b"v"), codec=codec), None) for codec in CODECS},
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_cannot_be_read_is_passed_and_what_follows_is_read(settings, consumer, kind):
    raw, reason = HOSTILE[kind]
    await written(settings, raw)
    end = 1 + await produce(settings, TOPIC, 0, GOOD)
    *hostile, good = await until(consumer, end)
    assert good.value == b"good"
    assert [record.damage and record.damage.reason for record in hostile] == (
        [] if kind == "no records" else [reason]
    )
    assert (await consumer.ends([AT])) == {AT: end}


@pytest.mark.parametrize("codec", [1, 4])
async def test_a_bomb_between_good_records(settings, consumer, codec):
    bodies = [body(0, b"before"), body(1, bytes(100 << 20)), body(2, b"behind")]
    content = b"".join(number(len(record)) + record for record in bodies)
    await written(settings, batch(codec=codec, content=CODECS[codec](content), count=3))
    before, bomb, behind = await until(consumer, 3)
    assert (before.value, bomb.damage.reason, behind.value) == (b"before", "message.too_large", b"behind")


async def transaction(settings, *values, end):
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"t{os.urandom(8).hex()}")
    await producer.start()
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(settings.topic_prefix + TOPIC, value, key=b"k", partition=0)
    match end:
        case "commit":
            await producer.commit_transaction()
        case "abort":
            await producer.abort_transaction()
        case "open":
            return producer
    await producer.stop()
    return None


async def test_what_was_committed_is_read_and_the_position_ends_where_the_partition_does(settings, consumer):
    await transaction(settings, b"a", b"b", end="commit")
    await transaction(settings, b"never", end="abort")
    assert [record.value for record in await until(consumer, 5)] == [b"a", b"b"]
    assert await consumer.ends([AT]) == {AT: 5}
    assert await consumer.position(AT) == consumer.end(AT) == 5
    async with TopicReader(settings, [TOPIC]) as reader:
        assert [record.value async for record in reader.news()] == [b"a", b"b"]
        assert [record.value async for record in reader.news()] == []
        assert [record.value async for record in reader.last()] == [b"b"]
    assert (await read_once(settings, TOPIC)).items == {b"k": b"b"}


async def test_what_lies_behind_an_open_transaction_waits_for_nobody_and_is_said(settings, consumer):
    await transaction(settings, b"a", end="commit")
    open_ = await transaction(settings, b"open", end="open")
    await produce(settings, TOPIC, 0, GOOD)
    async with TopicReader(settings, [TOPIC]) as reader:
        assert [record.value for record in await until(consumer, 2)] == [b"a"]
        assert [record.value async for record in reader.news()] == [b"a"]
        assert await reader.open_transactions() == {AT: 2}
        assert (await consumer.read(AT, wait=timedelta(seconds=2)), consumer.uncommitted(AT)) == ([], 2)
        await open_.abort_transaction()
        await open_.stop()
        assert [record.value for record in await until(consumer, 5)] == [b"good"]
        assert [record.value async for record in reader.news()] == [b"good"]
        assert await reader.open_transactions() == {}
