"""Our consumer on a real broker that goes away."""

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.adapters.consumer import Consumer
from shared.infrastructure.server import Server

pytestmark = pytest.mark.connected


async def test_a_consumer_whose_broker_is_away_can_be_stopped(own_broker: Server) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=own_broker.address)
    await admin.start()
    await admin.create_topics([NewTopic("things", 1, 1)])
    await admin.close()
    consumer = Consumer(bootstrap_servers=own_broker.address, retry_backoff_ms=60_000)
    await consumer.start()
    consumer.assign([TopicPartition("things", 0)])
    await consumer.seek_to_beginning()
    await consumer.getmany(timeout_ms=1000)
    own_broker.kill()
    await consumer.getmany(timeout_ms=1000)  # in which a fetch fails, and begins its pause
    await consumer.stop()
