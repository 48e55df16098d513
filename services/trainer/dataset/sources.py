"""Reads what a data set is made of: ranges of judgements and negatives, and the catalogue."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from functools import partial

from pydantic import ValidationError

from schemas.catalogue import Acceptance, ProductChange
from schemas.control import OffsetRange
from schemas.judgements import Judgement, Negative
from schemas.wire.change import DecodedChange
from services.trainer.dataset.domain.assembly import DatasetSources
from services.trainer.dataset.domain.catalogue import TrainingCatalogue
from services.trainer.dataset.domain.cleaning import TrainingJudgement
from services.trainer.dataset.domain.selection import DatasetSelection
from shared.catalogue.acceptances import Acceptances, Accepted
from shared.catalogue.changes import ChangeReader
from shared.clock import SystemClock
from shared.errors import ConfigurationError, PoisonError, SkippedError, TransientError
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.settings import Settings

TOPICS = (Judgement.topic, Negative.topic, ProductChange.topic)
READ = (*TOPICS, Acceptance.topic)
"""What data sets of before, and installations of before, do not have is as if nobody had written to it."""
STEP = 1000

ReadProgress = Callable[[str, int, int], None]
"""Told a topic, how many of its messages are behind us, and how many there are."""


async def present_ranges(settings: Settings) -> tuple[OffsetRange, ...]:
    """Return the ranges of all there is now; raises `TransientError` without a broker or a topic."""
    async with TopicReader(settings, READ) as reader:
        ends = await reader.find_ends()
        if missing := [topic for topic in TOPICS if topic not in {partition.topic for partition in ends}]:
            raise TransientError(f"there is no topic {missing[0]}: `headrace topics apply` creates it")
        return tuple(
            OffsetRange(
                topic=partition.topic,
                partition=partition.number,
                start=reader.beginnings[partition],
                end=ends[partition],
            )
            for partition in sorted(ends)
        )


class TopicSnapshot:
    """One reading of the ranges; what cannot be read is counted and left out, as the workers do."""

    def __init__(
        self, settings: Settings, ranges: Sequence[OffsetRange], *, progress: ReadProgress | None = None
    ) -> None:
        if strange := [offsets.topic for offsets in ranges if offsets.topic not in READ]:
            raise ConfigurationError(f"a data set is not made of {strange[0]}")
        self._settings = settings
        self._ranges = ranges
        self._progress = progress or (lambda _topic, _done, _total: None)
        self._records: Counter[str] = Counter()
        self._unreadable = 0

    async def read(self, selection: DatasetSelection, *, seed: int) -> DatasetSources:
        """Return the sources; raises `TransientError`, and `ConfigurationError` for what is not there yet."""
        judged = await self._judged(selection)
        negatives = await self._negatives()
        named = {judgement.product_id for judgement in judged}
        named |= {negative.product_id for negative in negatives}
        catalogue = TrainingCatalogue(named, selection, seed=seed)
        changes = ChangeReader(self._settings.catalogue.parts, await self._acceptances())
        async with aclosing(SchemaDeserializer.of(self._settings.registry, clock=SystemClock())) as schemas:
            async for record in self._within(ProductChange.topic):
                batch = await schemas.schemas_of([record])
                self._take(catalogue, partial(batch.decode, record, changes.read))
        return DatasetSources(
            judged=judged,
            negatives=negatives,
            entries=catalogue.entries(),
            unreadable=self._unreadable,
            records=dict(sorted(self._records.items())),
        )

    async def _judged(self, selection: DatasetSelection) -> list[TrainingJudgement]:
        """Return the last judgement of each pair that is not taken back."""
        values: dict[bytes, bytes] = {}
        first_seen: dict[bytes, datetime] = {}
        async for record in self._within(Judgement.topic):
            _replace(values, record)
            key = record.key or b""
            first_seen[key] = min(first_seen.get(key, record.timestamp), record.timestamp)
        judged = []
        for key, value in values.items():
            try:
                judged.append(TrainingJudgement.of(Judgement.decode(value), first_seen[key], selection))
            except ValidationError:
                self._unreadable += 1
        return judged

    async def _negatives(self) -> list[Negative]:
        values: dict[bytes, bytes] = {}
        async for record in self._within(Negative.topic):
            _replace(values, record)
        negatives = []
        for value in values.values():
            try:
                negatives.append(Negative.decode(value))
            except ValidationError:
                self._unreadable += 1
        return negatives

    async def _acceptances(self) -> Acceptances:
        accepted = set[Accepted]()
        async for record in self._within(Acceptance.topic):
            try:
                accepted.add(Accepted.by(Acceptance.decode(record.value or b"")))
            except ValidationError:
                self._unreadable += 1
        return frozenset(accepted)

    def _take(self, catalogue: TrainingCatalogue, read: Callable[[], DecodedChange]) -> None:
        try:
            with suppress(SkippedError):
                catalogue.take(read().change)
        except PoisonError:
            self._unreadable += 1

    async def _within(self, topic: str) -> AsyncIterator[Record]:
        ranges = [offsets for offsets in self._ranges if offsets.topic == topic]
        total = sum(offsets.end - offsets.start for offsets in ranges)
        async with TopicReader(self._settings, [topic]) as reader:
            async for record in reader.within(ranges):
                self._records[topic] += 1
                if self._records[topic] % STEP == 0:
                    self._progress(topic, self._records[topic], total)
                yield record
        self._progress(topic, total, total)


def parse_ranges(texts: Iterable[str]) -> tuple[OffsetRange, ...]:
    """Read ranges of judgements written `partition:start-end`; raises `ConfigurationError`."""
    ranges = []
    for text in texts:
        partition, _, span = text.partition(":")
        start, _, end = span.partition("-")
        if not (partition.isdigit() and start.isdigit() and end.isdigit() and int(start) <= int(end)):
            raise ConfigurationError(f"a range is written partition:start-end, as in 0:0-1000, not {text!r}")
        ranges.append(
            OffsetRange(topic=Judgement.topic, partition=int(partition), start=int(start), end=int(end))
        )
    return tuple(ranges)


def _replace(values: dict[bytes, bytes], record: Record) -> None:
    if record.key is None or record.value is None:
        values.pop(record.key or b"", None)
    else:
        values[record.key] = record.value
