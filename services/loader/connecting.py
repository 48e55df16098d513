"""A broker that a command writes to: reached within seconds, or told in one line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from shared.kafka.client import require_topics
from shared.kafka.metadata import ClusterMetadata, describe
from shared.kafka.publisher import KafkaPublisher
from shared.settings import Settings

ENDS_WITHIN = timedelta(seconds=5)


async def reached(settings: Settings, topics: Sequence[str]) -> ClusterMetadata:
    """Return what the broker has of these topics; raises `TransientError` within seconds."""
    await require_topics(settings, topics)
    return await describe(settings, topics)


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    """Give a connected publisher; a broker that is away does not keep it from ending."""
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        yield publisher
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS_WITHIN.total_seconds()):
                await publisher.stop()
