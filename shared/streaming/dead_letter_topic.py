"""Reading `<topic>.dlq`, and writing letters back to where they came from."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from schemas.topics import DEAD_LETTER_SUFFIX, all_topics
from shared.errors import ConfigurationError
from shared.kafka.publisher import publish_once
from shared.kafka.topic_reader import TopicReader
from shared.records import Outgoing, Record
from shared.settings import Settings
from shared.streaming.dead_letters import PREFIX, REASON, original
from shared.streaming.excerpts import CUT


@dataclass(frozen=True)
class Letter:
    """A dead letter: the record as it lies in `<topic>.dlq`, and what its headers say."""

    record: Record

    def error_header(self, name: str) -> str:
        """Return one of the `__connect.errors.*` headers; empty when a foreign writer left it out."""
        return (self.record.header(PREFIX + name) or b"").decode(errors="replace")

    @property
    def topic(self) -> str:
        """The topic that it came from, without prefix."""
        return self.error_header("topic") or self.record.partition.topic.removesuffix(DEAD_LETTER_SUFFIX)

    @property
    def reason(self) -> str:
        """The stable code of why it could not be used."""
        return (self.record.header(REASON) or b"unknown").decode(errors="replace")

    @property
    def source(self) -> str:
        """Where it was read: topic, partition and offset."""
        return f"{self.topic}-{self.error_header('partition') or '?'} @ {self.error_header('offset') or '?'}"

    @property
    def cut(self) -> str:
        """What of the message is not in the letter, as JSON; empty when it is whole."""
        ours = self.record.headers[len(original(self.record.headers)) :]  # a producer may have named his so
        return (dict(ours).get(CUT) or b"").decode(errors="replace")

    def message(self) -> Outgoing:
        """Return the message as it was, for the partition where it was read; not of one that is cut."""
        partition = self.error_header("partition")
        return Outgoing(
            topic=self.topic,
            key=self.record.key,
            value=self.record.value,
            headers=original(self.record.headers),
            partition=int(partition) if partition.isdecimal() else None,
        )


@dataclass(frozen=True)
class LetterSelection:
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
    names = [topic.name for topic in all_topics(settings.generation)]
    dead_letter_topic = name if name.endswith(DEAD_LETTER_SUFFIX) else name + DEAD_LETTER_SUFFIX
    if dead_letter_topic not in names:
        with_letters = ", ".join(topic for topic in names if topic.endswith(DEAD_LETTER_SUFFIX))
        raise ConfigurationError(f"{name} has no dead letters; topics that have: {with_letters}")
    return dead_letter_topic


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


async def replay(settings: Settings, letters: Sequence[Letter]) -> None:
    """Write letters back to their topics; returns when all are acknowledged.

    Raises `ConfigurationError` when some hold only a part of their message: the others are written.
    """
    whole = [letter for letter in letters if not letter.cut]
    await publish_once(settings, [letter.message() for letter in whole])
    if cut := [letter for letter in letters if letter.cut]:
        which = ", ".join(f"{letter.record.offset} ({letter.source})" for letter in cut)
        raise ConfigurationError(
            f"{len(whole)} written back, but not {which}: a letter has only the beginning of its message; "
            "have it published again by whoever wrote it, in a form that fits"
        )


async def _scan(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Letter]:
    """Yield every letter that is there now, oldest first a partition."""
    async with TopicReader(settings, topics) as reader:
        async for record in reader.news():
            yield Letter(record)
