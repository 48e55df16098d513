"""Reading `<topic>.dlq`, and writing letters back to where they came from."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from schemas.topics import DEAD_LETTER_SUFFIX, all_topics
from shared.adapters.kafka import KafkaPublisher
from shared.dead_letters import PREFIX, REASON, original
from shared.errors import ConfigurationError
from shared.ports import Publisher
from shared.records import Outgoing, Record
from shared.settings import Settings
from shared.topic_reader import TopicReader


@dataclass(frozen=True)
class Letter:
    """A dead letter: the record as it lies in `<topic>.dlq`, and what its headers say."""

    record: Record

    def said(self, name: str) -> str:
        """Return one of the `__connect.errors.*` headers; empty when a foreign writer left it out."""
        return (self.record.header(PREFIX + name) or b"").decode(errors="replace")

    @property
    def topic(self) -> str:
        """The topic that it came from, without prefix."""
        return self.said("topic") or self.record.partition.topic.removesuffix(DEAD_LETTER_SUFFIX)

    @property
    def reason(self) -> str:
        """The stable code of why it could not be used."""
        return (self.record.header(REASON) or b"unknown").decode(errors="replace")

    @property
    def source(self) -> str:
        """Where it was read: topic, partition and offset."""
        return f"{self.topic}-{self.said('partition') or '?'} @ {self.said('offset') or '?'}"

    def back(self) -> Outgoing:
        """Return the message as it was, for the partition where it was read."""
        partition = self.said("partition")
        return Outgoing(
            topic=self.topic,
            key=self.record.key,
            value=self.record.value,
            headers=original(self.record.headers),
            partition=int(partition) if partition.isdecimal() else None,
        )


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; what is empty does not restrict."""

    offsets: frozenset[int] = frozenset()
    reason: str = ""
    limit: int = 100

    def __call__(self, letter: Letter) -> bool:
        """Whether a letter is meant (the limit is the reader's business)."""
        return (not self.offsets or letter.record.offset in self.offsets) and (
            not self.reason or letter.reason == self.reason
        )


def topic_of(name: str, settings: Settings) -> str:
    """Return the dead-letter topic of `name`, given with or without `.dlq`; without prefix."""
    topics = [topic.name for topic in all_topics(settings.generation)]
    wanted = name if name.endswith(DEAD_LETTER_SUFFIX) else name + DEAD_LETTER_SUFFIX
    if wanted not in topics:
        known = ", ".join(topic for topic in topics if topic.endswith(DEAD_LETTER_SUFFIX))
        raise ConfigurationError(f"{name} has no dead letters; topics that have: {known}")
    return wanted


def dead_letter_topics(settings: Settings) -> list[str]:
    """Return every dead-letter topic, without prefix."""
    return [t.name for t in all_topics(settings.generation) if t.name.endswith(DEAD_LETTER_SUFFIX)]


async def read(
    settings: Settings, topics: Sequence[str], *, wanted: Callable[[Letter], bool], limit: int
) -> list[Letter]:
    """Return the first `limit` wanted letters of the topics, as they are now, oldest first."""
    letters: list[Letter] = []
    async for letter in _scan(settings, topics):
        if wanted(letter):
            letters.append(letter)
        if len(letters) >= limit:
            break
    return letters


async def count(settings: Settings, topics: Sequence[str]) -> Counter[tuple[str, str]]:
    """Return how many letters each topic holds for each reason."""
    counts: Counter[tuple[str, str]] = Counter()
    async for letter in _scan(settings, topics):
        counts[letter.record.partition.topic, letter.reason] += 1
    return counts


async def replay(settings: Settings, letters: Sequence[Letter], publisher: Publisher | None = None) -> None:
    """Write letters back to their topics; returns when all are acknowledged."""
    if publisher is not None:
        await publisher.publish([letter.back() for letter in letters])
        return
    own = KafkaPublisher(settings)
    await own.start()
    try:
        await own.publish([letter.back() for letter in letters])
    finally:
        await own.stop()


async def _scan(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Letter]:
    """Yield every letter that is there now, oldest first a partition."""
    async with TopicReader(settings, topics) as reader:
        async for record in reader.news():
            yield Letter(record)
