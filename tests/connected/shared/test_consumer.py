"""Our consumer on a real broker that goes away."""

from datetime import timedelta

import pytest

from shared.errors import TransientError
from shared.infrastructure.process import free_port
from shared.infrastructure.server import Server
from shared.infrastructure.topics import apply
from shared.kafka.consumer import OffsetGoneError, RecordConsumer
from shared.records import Partition
from shared.settings import Settings

pytestmark = pytest.mark.connected
AT = Partition("catalogue.changes.v1", 0)
SECOND = timedelta(seconds=1)


async def test_a_consumer_whose_broker_is_away_can_be_stopped(own_broker: Server) -> None:
    settings = Settings(kafka=own_broker.address)
    await apply(settings)
    consumer = RecordConsumer(settings, retry_backoff_ms=60_000)
    await consumer.start()
    consumer.assign([AT])
    consumer.seek(AT, 0)
    await consumer.read(AT, wait=SECOND)
    own_broker.kill()
    await consumer.read(AT, wait=SECOND)  # in which a fetch fails, and begins its pause
    await consumer.stop()


async def test_a_consumer_without_a_reset_says_that_an_offset_is_gone(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix)
    await apply(settings)
    consumer = RecordConsumer(settings, reset="none")
    await consumer.start()
    consumer.assign([AT])
    assert await consumer.edges([AT]) == {AT: (0, 0)}
    consumer.seek(AT, 7)
    with pytest.raises(OffsetGoneError):
        await consumer.read(AT, wait=10 * SECOND)
    await consumer.stop()


async def test_nobody_to_connect_to_is_transient() -> None:
    with pytest.raises(TransientError):
        await RecordConsumer(Settings(kafka=f"127.0.0.1:{free_port()}")).start()
