"""A broker that answers no: each reason has its own words, all of them pass, and nothing ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.errors import TransientError
from shared.infrastructure import topics
from shared.kafka.client import partition_counts
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.tail import TailingConsumer
from shared.pauses import pauses
from shared.records import Outgoing, Record
from shared.settings import Settings
from tests.connected.secured import PASSWORD, SecuredKafka, as_settings, make_authority

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME names no Apache Kafka"),
]
TOPIC = "ours.letters"
ROTATED = "quite another"
ALL = ("--operation", "All", "--topic", "ours.", "--resource-pattern-type", "prefixed")
IDEMPOTENT = ("--operation", "IdempotentWrite", "--cluster")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    broker = SecuredKafka(Path(os.environ["KAFKA_HOME"]), tmp_path_factory.mktemp("secured"))
    broker.start()
    asyncio.run(make_topic(broker))
    yield broker
    broker.stop()


@pytest.fixture
def granted(secured: SecuredKafka) -> SecuredKafka:
    secured.grant(*ALL)
    return secured


async def make_topic(broker: SecuredKafka) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.plain)
    await client.start()
    await client.create_topics([NewTopic(TOPIC, 1, 1)])
    await client.close()


def settings(broker: SecuredKafka, address: str = "", **security: object) -> Settings:
    return Settings(
        kafka=address or broker.address,
        topic_prefix="ours.",
        kafka_security={**as_settings(broker.environment), **security},  # type: ignore[arg-type]  # checked by it
    )


def plain_words(tmp_path: Path, broker: SecuredKafka) -> dict[str, Settings]:
    nobody = {"tls": False, "sasl_mechanism": "", "username": "", "password": ""}
    return {
        "refuses user 'headrace' or its password": settings(broker, password=PASSWORD + "?"),
        "shows a certificate that is not trusted": settings(
            broker, ca_file=make_authority(tmp_path, "another")
        ),
        "speaks TLS, and this client does not": settings(broker, **nobody),
        "speaks no TLS, and this client does": settings(broker, address=broker.plain),
        "no broker answers at": settings(broker, address="127.0.0.1:1"),
    }


def test_each_reason_not_to_get_in_has_its_own_words_and_its_way_out(
    tmp_path: Path, granted: SecuredKafka
) -> None:
    fixes = set()
    for words, wrong in plain_words(tmp_path, granted).items():
        for question in (partition_counts(wrong, ["letters"]), topics.diff(wrong)):
            with pytest.raises(TransientError, match=words) as refused:
                asyncio.run(question)
        assert refused.value.cause
        assert "\n" not in str(refused.value)
        fixes.add(refused.value.fix)
    assert len(fixes) == len(plain_words(tmp_path, granted))
    assert asyncio.run(partition_counts(settings(granted), ["letters"])) == {"letters": 1}


async def test_a_topic_without_a_right_is_named_and_is_not_taken_for_one_that_is_missing(
    granted: SecuredKafka,
) -> None:
    granted.take_away(*ALL)
    with pytest.raises(TransientError, match=r"forbids our user topics ours\.letters") as refused:
        await partition_counts(settings(granted), ["letters"])
    assert refused.value.cause == "kafka.forbidden"
    granted.grant(*ALL)
    assert await partition_counts(settings(granted), ["letters", "others"]) == {"letters": 1, "others": 0}


async def test_a_publisher_waits_for_its_right_and_goes_on_by_itself(granted: SecuredKafka) -> None:
    publisher = KafkaPublisher(settings(granted))
    await publisher.start()
    letter = Outgoing("letters", b"k", b"v", partition=0)
    await publisher.publish([letter])
    granted.take_away(*ALL)
    with pytest.raises(TransientError, match=r"ours\.letters") as refused:
        await publisher.publish([letter, letter])
    assert refused.value.cause == "kafka.forbidden"
    granted.grant(*ALL)
    await again(publisher, letter)
    await publisher.publish([letter] * 3)
    await publisher.stop()


async def test_a_reader_waits_for_its_right_and_misses_nothing(granted: SecuredKafka) -> None:
    read: list[Record] = []
    follower = TailingConsumer(settings(granted), "letters", read.append)
    await follower.start()
    before = len(read)
    granted.take_away(*ALL)
    await write(granted, b"while it may not read")
    while "kafka.forbidden" not in pauses.by_cause():
        await a_moment()
    granted.grant(*ALL)
    await write(granted, b"and when it may")
    while len(read) < before + 2:
        await follower.wait_change()
    assert [record.value for record in read[before:]] == [b"while it may not read", b"and when it may"]
    assert "kafka.forbidden" not in pauses.by_cause()
    await follower.stop()


async def test_a_password_that_was_changed_keeps_who_is_connected_and_refuses_who_comes(
    granted: SecuredKafka, tmp_path: Path
) -> None:
    publisher = KafkaPublisher(settings(granted))
    await publisher.start()
    granted.change_password(ROTATED)
    with pytest.raises(TransientError, match="password") as refused:
        await partition_counts(settings(granted), ["letters"])
    assert refused.value.cause == "kafka.credentials"
    assert await partition_counts(settings(granted, password=ROTATED), ["letters"]) == {"letters": 1}
    await publisher.publish([Outgoing("letters", b"k", b"v", partition=0)])
    granted.change_password(PASSWORD)
    assert await partition_counts(settings(granted), ["letters"]) == {"letters": 1}
    await publisher.stop()


async def again(publisher: KafkaPublisher, letter: Outgoing) -> None:
    """Publish until it is taken: rights travel to the broker in a moment."""
    while True:
        try:
            await publisher.publish([letter])
        except TransientError:
            continue
        return


async def a_moment() -> None:
    """Let the follower read for a moment."""
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.1)


async def write(broker: SecuredKafka, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.plain) as producer:
        await producer.send_and_wait(TOPIC, value)


@pytest.fixture(autouse=True)
async def _nothing_left() -> AsyncIterator[None]:
    yield
    assert not pauses.by_cause()
