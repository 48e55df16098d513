"""A broker that a command writes to: reached within seconds, or told in one line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from shared.errors import TransientError
from shared.kafka.connection import no_broker
from shared.kafka.metadata import ClusterMetadata, describe
from shared.kafka.publisher import KafkaPublisher
from shared.settings import Settings

ANSWERS_WITHIN = timedelta(seconds=5)


async def reached(settings: Settings, topics: Sequence[str]) -> ClusterMetadata:
    """Return what the broker has of these topics; raises `TransientError` within five seconds."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
            cluster = await describe(settings, topics)
    except TimeoutError as error:
        raise no_broker(settings) from error
    lacking = [topic for topic in topics if not cluster.topics[topic].partitions]
    if lacking:
        raise TransientError(
            f"the broker at {settings.kafka} has no topic {', '.join(lacking)}",
            cause="kafka.topics",
            fix="headrace topics apply",
        )
    return cluster


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    """Give a connected publisher; a broker that is away does not keep it from ending."""
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        yield publisher
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                await publisher.stop()
