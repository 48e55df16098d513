"""A follower of a small topic goes on when the topic gets partitions, or is made anew."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from schemas.judgements import Canary
from shared.infrastructure.topics import apply, connect
from shared.kafka.metadata import describe
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.tail import TailingConsumer
from shared.records import Outgoing, Partition, Record
from shared.settings import Settings

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]
TOPIC = Canary.topic


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix)
    await apply(settings)
    return settings


class Follower(TailingConsumer):
    """Looks at its topic all the time, and keeps the values."""

    look_every = timedelta(0)

    def __init__(self, settings: Settings) -> None:
        self.values: list[bytes | None] = []
        super().__init__(settings, TOPIC, self._keep)

    def _keep(self, record: Record) -> None:
        self.values.append(record.value)

    async def until(self, *values: bytes) -> None:
        async with asyncio.timeout(60):
            while len(self.values) < len(values):
                await self.wait_change()
        assert self.values == list(values)


@pytest.fixture
async def follower(settings: Settings) -> AsyncIterator[Follower]:
    follower = Follower(settings)
    await follower.start()
    yield follower
    await follower.stop()


@pytest.fixture
async def publisher(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(settings)
    await publisher.start()
    yield publisher
    await publisher.stop()


async def test_partitions_that_are_added_are_followed(
    settings: Settings, follower: Follower, publisher: KafkaPublisher
) -> None:
    await publisher.publish([Outgoing(TOPIC, b"k", b"a")])
    await follower.until(b"a")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.create_partitions({settings.topic_prefix + TOPIC: NewPartitions(3)})
    await admin.close()
    await publisher.publish([Outgoing(TOPIC, b"k", b"b", partition=2)])
    await follower.until(b"a", b"b")
    await publisher.publish([Outgoing(TOPIC, b"k", b"c")])
    await follower.until(b"a", b"b", b"c")
    assert sorted(follower.positions) == [Partition(TOPIC, number) for number in range(3)]
    async with asyncio.timeout(60):
        while sum(follower.positions.values()) < 3:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.05)


async def test_a_topic_that_is_made_anew_is_followed_from_its_beginning(
    settings: Settings, follower: Follower, publisher: KafkaPublisher
) -> None:
    if not (await describe(settings, [TOPIC])).topics[TOPIC].identity:
        pytest.skip("this broker's topics have no identity")
    await publisher.publish([Outgoing(TOPIC, b"k", b"a")])
    await follower.until(b"a")
    async with connect(settings) as administration:
        await administration.delete(settings.topic_prefix + TOPIC)
    await apply(settings)
    await publisher.publish([Outgoing(TOPIC, b"k", b"%d" % number) for number in range(3)])
    await follower.until(b"a", b"0", b"1", b"2")
