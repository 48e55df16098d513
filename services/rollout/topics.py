"""The topics of a generation: made before it is built, removed when nobody has a use for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aiokafka.errors import KafkaError

from schemas.topics import topics_of
from shared.errors import TransientError
from shared.infrastructure import topics
from shared.infrastructure.topic_plan import Wanted, difference, wanted_topic
from shared.settings import Settings

PATIENCE = timedelta(seconds=5)


class GenerationTopics:
    """Makes and removes `index.records.<generation>` and its dead letters; doing either twice is harmless.

    Both raise `TransientError` when the broker is away.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def make(self, generation: str) -> None:
        """Make those topics that are not there."""
        wanted = self._wanted(generation)
        names = {topic.name for topic in wanted}
        async with self._connected() as administration:
            existing = await administration.existing(sorted(names))
            for topic in wanted:
                before = existing.get(topic.name)
                await administration.carry_out(difference(topic, before), before)
            await administration.until(lambda there: names <= there)

    async def remove(self, generation: str) -> bool:
        """Remove the topics; return whether there was one."""
        async with self._connected() as administration:
            existing = await administration.existing([topic.name for topic in self._wanted(generation)])
            for name in existing:
                await administration.delete(name)
            return bool(existing)

    def _wanted(self, generation: str) -> list[Wanted]:
        return [wanted_topic(topic, self._settings) for topic in topics_of(generation)]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[topics.Administration]:
        try:
            async with topics.connect(self._settings, wait=PATIENCE) as administration:
                yield administration
        except (KafkaError, OSError) as error:
            raise TransientError(f"the broker cannot be asked: {error!r}") from error
