"""What the topics of a loop are on the broker, looked at again and again: their partitions and identities."""

from collections.abc import Iterable

from shared.kafka.metadata import TopicMetadata, describe
from shared.settings import Settings

NO_TOPIC = TopicMetadata()


class TopicWatch:
    """Remembers what was last said of each topic; a topic that is not there (any more) keeps what it was."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics: dict[str, TopicMetadata] = {}
        self.partitions: dict[str, int] = {}
        """How many each topic has; it changes with every look."""

    async def look(self, topics: Iterable[str]) -> None:
        """Ask the broker; raises `TransientError` when it is away."""
        described = await describe(self._settings, topics)
        self._topics |= {name: topic for name, topic in described.topics.items() if topic.partitions}
        self.partitions |= {name: topic.partitions for name, topic in self._topics.items()}

    async def identity(self, topic: str) -> str:
        """Return what the topic is called by now; raises `TransientError` when the broker is away."""
        await self.look([topic])
        return self.last_identity(topic)

    def last_identity(self, topic: str) -> str:
        """Return its identity at the last look; empty: not known."""
        return self._topics.get(topic, NO_TOPIC).identity
