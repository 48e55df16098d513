"""The topic of a generation's records: made before it is built, removed when nobody has a use for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError

from schemas.topics import index_records
from shared.errors import TransientError
from shared.infrastructure import topics
from shared.infrastructure.topic_plan import Wanted, difference, wanted_topic
from shared.settings import Settings

PATIENCE_SECONDS = 5.0


class GenerationTopics:
    """Makes and removes `index.records.<generation>`; doing either twice is harmless.

    Both raise `TransientError` when the broker is away.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def make(self, generation: str) -> None:
        """Make the topic unless it is there."""
        topic = self._wanted(generation)
        async with self._connected() as administration:
            existing = (await administration.existing([topic.name])).get(topic.name)
            await administration.carry_out(difference(topic, existing), existing)
            await administration.until(lambda there: topic.name in there)

    async def remove(self, generation: str) -> bool:
        """Remove the topic; return whether there was one."""
        name = self._wanted(generation).name
        async with self._connected() as administration:
            if not await administration.existing([name]):
                return False
            await administration.delete(name)
            return True

    def _wanted(self, generation: str) -> Wanted:
        return wanted_topic(index_records(generation), self._settings)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[topics.Administration]:
        try:
            async with topics.connect(self._settings, wait_seconds=PATIENCE_SECONDS) as administration:
                yield administration
        except (KafkaError, OSError) as error:
            raise TransientError(f"the broker cannot be asked: {error!r}") from error
