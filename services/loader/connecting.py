"""A publisher that ends within seconds, also when its broker is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from shared.kafka.publisher import KafkaPublisher
from shared.settings import Settings

ENDS_WITHIN = timedelta(seconds=5)


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
