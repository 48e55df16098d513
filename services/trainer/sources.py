"""Reads what a data set is made of: ranges of judgements and negatives, and the catalogue."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime

from pydantic import ValidationError

from schemas.catalogue import ProductChange
from schemas.control import OffsetRange
from schemas.judgements import Judgement, Negative
from services.trainer.domain.assembly import Sources
from services.trainer.domain.catalogue import Catalogue
from services.trainer.domain.cleaning import Judged
from services.trainer.domain.selection import Selection
from shared.changes import reading_of
from shared.errors import ConfigurationError, PoisonError, TransientError
from shared.records import Record
from shared.settings import Settings
from shared.topic_reader import TopicReader

TOPICS = (Judgement.topic, Negative.topic, ProductChange.topic)
STEP = 1000

Progress = Callable[[str, int, int], None]
"""Told a topic, how many of its messages are behind us, and how many there are."""


async def everything(settings: Settings) -> tuple[OffsetRange, ...]:
    """Return the ranges of all there is now; raises `TransientError` without a broker or a topic."""
    async with TopicReader(settings, TOPICS) as reader:
        ends = await reader.find_ends()
        if missing := [topic for topic in TOPICS if topic not in {it.topic for it in ends}]:
            raise TransientError(f"there is no topic {missing[0]}: `headrace topics apply` creates it")
        return tuple(
            OffsetRange(topic=it.topic, partition=it.number, start=reader.beginnings[it], end=ends[it])
            for it in sorted(ends)
        )


class Reading:
    """One reading of the ranges; what cannot be read is counted and left out, as the workers do."""

    def __init__(
        self, settings: Settings, ranges: Sequence[OffsetRange], *, progress: Progress | None = None
    ) -> None:
        if strange := [it.topic for it in ranges if it.topic not in TOPICS]:
            raise ConfigurationError(f"a data set is not made of {strange[0]}")
        self._settings = settings
        self._ranges = ranges
        self._progress = progress or (lambda _topic, _done, _total: None)
        self._records: Counter[str] = Counter()
        self._unreadable = 0

    async def read(self, selection: Selection, *, seed: int) -> Sources:
        """Return the sources; raises `TransientError`, and `ConfigurationError` for what is not there yet."""
        judged = await self._judged(selection)
        negatives = await self._negatives()
        named = {it.product_id for it in judged} | {it.product_id for it in negatives}
        catalogue = Catalogue(named, selection, seed=seed)
        async for record in self._within(ProductChange.topic):
            self._take(catalogue, record)
        return Sources(
            judged=judged,
            negatives=negatives,
            listings=catalogue.listings(),
            unreadable=self._unreadable,
            records=dict(sorted(self._records.items())),
        )

    async def _judged(self, selection: Selection) -> list[Judged]:
        """Return the last judgement of each pair that is not taken back."""
        values: dict[bytes, bytes] = {}
        seen: dict[bytes, datetime] = {}
        async for record in self._within(Judgement.topic):
            _replace(values, record)
            key = record.key or b""
            seen[key] = min(seen.get(key, record.timestamp), record.timestamp)
        found = []
        for key, value in values.items():
            try:
                found.append(Judged.of(Judgement.decode(value), seen[key], selection))
            except ValidationError:
                self._unreadable += 1
        return found

    async def _negatives(self) -> list[Negative]:
        values: dict[bytes, bytes] = {}
        async for record in self._within(Negative.topic):
            _replace(values, record)
        found = []
        for value in values.values():
            try:
                found.append(Negative.decode(value))
            except ValidationError:
                self._unreadable += 1
        return found

    def _take(self, catalogue: Catalogue, record: Record) -> None:
        try:
            catalogue.take(reading_of(record).change)
        except PoisonError:
            self._unreadable += 1

    async def _within(self, topic: str) -> AsyncIterator[Record]:
        ranges = [it for it in self._ranges if it.topic == topic]
        total = sum(it.end - it.start for it in ranges)
        async with TopicReader(self._settings, [topic]) as reader:
            async for record in reader.within(ranges):
                self._records[topic] += 1
                if self._records[topic] % STEP == 0:
                    self._progress(topic, self._records[topic], total)
                yield record
        self._progress(topic, total, total)


def parse(texts: Iterable[str]) -> tuple[OffsetRange, ...]:
    """Read ranges of judgements written `partition:start-end`; raises `ConfigurationError`."""
    found = []
    for text in texts:
        partition, _, span = text.partition(":")
        start, _, end = span.partition("-")
        if not (partition.isdigit() and start.isdigit() and end.isdigit() and int(start) <= int(end)):
            raise ConfigurationError(f"a range is written partition:start-end, as in 0:0-1000, not {text!r}")
        found.append(
            OffsetRange(topic=Judgement.topic, partition=int(partition), start=int(start), end=int(end))
        )
    return tuple(found)


def _replace(values: dict[bytes, bytes], record: Record) -> None:
    if record.key is None or record.value is None:
        values.pop(record.key or b"", None)
    else:
        values[record.key] = record.value
