"""The client before a broker alone: partitions, what is unreadable, an outage, and nobody there."""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from headrace import Client
from headrace.errors import NotWrittenError, PositionGoneError, UnreadableError
from schemas.alerts import Alert
from schemas.golden import golden
from schemas.judgements import Judgement
from shared.errors import TransientError
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.server import Server
from shared.infrastructure.topics import apply
from shared.kafka.topic_reader import TopicReader
from shared.settings import Settings

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
NOBODY = "http://127.0.0.1:9"


def change(number: int) -> dict[str, object]:
    return {"product_id": f"p{number}", "op": "upsert", "version": number, "fields": {"title": f"t{number}"}}


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    made = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)
    await apply(made)
    return made


@pytest.fixture
def shop(settings: Settings) -> Iterator[Client]:
    with Client(settings.kafka, NOBODY, topic_prefix=settings.topic_prefix) as client:
        yield client


async def written(settings: Settings) -> list[tuple[int, int, bytes | None]]:
    async with TopicReader(settings, ["catalogue.changes.v1"]) as reader:
        return [(record.partition.number, record.offset, record.key) async for record in reader.news()]


async def test_everything_is_there_when_the_call_returns_and_where_it_says(
    shop: Client, settings: Settings
) -> None:
    receipt = await asyncio.to_thread(shop.publish, (change(number) for number in range(10_000)))
    records = await written(settings)
    assert len({key for _, _, key in records}) == len(records) == 10_000
    ends = {number: 1 + max(at for where, at, _ in records if where == number) for number in range(3)}
    assert receipt.offsets == ends


async def test_a_key_goes_where_kafkas_own_partitioner_puts_it(shop: Client, settings: Settings) -> None:
    await asyncio.to_thread(shop.publish, [change(number) for number in range(200)])
    ours = {key: number for number, _, key in await written(settings)}
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for key in ours:
            await producer.send_and_wait(f"{settings.topic_prefix}search.queries.v1", b"x", key=key)
    async with AIOKafkaConsumer(
        f"{settings.topic_prefix}search.queries.v1",
        bootstrap_servers=settings.kafka,
        auto_offset_reset="earliest",
    ) as consumer:
        theirs = {}
        while len(theirs) < len(ours):
            record = await consumer.getone()
            theirs[record.key] = record.partition
    assert ours == theirs


async def test_what_is_unreadable_or_removed_is_told(shop: Client, settings: Settings) -> None:
    topic, sample = settings.topic_prefix + Judgement.topic, golden(Judgement.topic)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for value in (sample, b"rubbish", None, sample):
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
    entries = await asyncio.to_thread(lambda: [*shop.judgements(follow=False)])
    assert [(entry.offset, entry.removed, bool(entry.unreadable)) for entry in entries] == [
        (0, False, False),
        (1, False, True),
        (2, True, False),
        (3, False, False),
    ]
    with pytest.raises(UnreadableError, match="offset 1 of partition 0"):
        _ = entries[1].message
    rest = await asyncio.to_thread(lambda: [*shop.judgements(since={0: 3}, follow=False)])
    assert [entry.offset for entry in rest] == [3]
    with pytest.raises(PositionGoneError, match="offsets 0 to 4, not 9"):
        await asyncio.to_thread(lambda: [*shop.judgements(since={0: 9}, follow=False)])


async def test_a_stream_ends_after_a_silence(shop: Client) -> None:
    entries = await asyncio.to_thread(lambda: [*shop.stream(Alert, patience=timedelta(milliseconds=300))])
    assert entries == []


async def test_a_topic_that_is_not_there_is_told_with_what_to_do(kafka: str, topic_prefix: str) -> None:
    with (
        Client(kafka, NOBODY, topic_prefix=topic_prefix) as shop,
        pytest.raises(TransientError, match="headrace topics apply"),
    ):
        await asyncio.to_thread(shop.upsert, "p1", {"title": "t"})


async def test_an_outage_in_the_middle_is_outlived_and_nothing_is_lost(own_broker: Server) -> None:
    settings = Settings(kafka=own_broker.address, partitions=2)
    await apply(settings)
    down = asyncio.Event()
    loop = asyncio.get_running_loop()

    def changes() -> Iterator[dict[str, object]]:
        for number in range(10_000):
            if number == 5_000:
                stop = own_broker.stop if isinstance(own_broker, EmbeddedBroker) else own_broker.kill
                stop()  # the embedded one loses its last writes when it is killed
                loop.call_soon_threadsafe(down.set)
            yield change(number)

    with Client(own_broker.address, NOBODY) as shop:
        publishing = asyncio.create_task(asyncio.to_thread(shop.publish, changes()))
        await down.wait()
        await asyncio.to_thread(own_broker.start)
        receipt = await publishing
        assert receipt.changes == 10_000
    records = await written(settings)
    assert {key for _, _, key in records} == {f"p{number}".encode() for number in range(10_000)}


async def test_a_broker_that_stays_away_ends_the_call_and_the_client(own_broker: Server) -> None:
    await apply(Settings(kafka=own_broker.address, partitions=2))
    with Client(own_broker.address, NOBODY) as shop:
        await asyncio.to_thread(shop.publish, [change(1)])
        await asyncio.to_thread(own_broker.stop)
        with pytest.raises(NotWrittenError, match="has acknowledged none of 1 messages for 2 s"):
            await asyncio.to_thread(shop.publish, [change(2)], timeout=timedelta(seconds=2))
        await asyncio.to_thread(own_broker.start)
        receipt = await asyncio.to_thread(shop.publish, [change(3)])
        assert receipt.changes == 1


@pytest.mark.timeout(35)  # aiokafka itself waits 40 s for an answer
async def test_a_broker_that_hangs_ends_the_call_in_its_time(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker")
    broker.start()
    await apply(Settings(kafka=broker.address, partitions=2))
    pid = broker._process.pid
    assert pid is not None
    with Client(broker.address, NOBODY) as shop:
        await asyncio.to_thread(shop.publish, [change(1)])
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(NotWrittenError, match="acknowledged none of 1 messages for 1 s"):
                await asyncio.to_thread(shop.publish, [change(2)], timeout=timedelta(seconds=1))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (await asyncio.to_thread(shop.publish, [change(3)])).changes == 1
    broker.stop()
