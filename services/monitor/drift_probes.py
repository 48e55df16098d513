"""What the drift watch goes and looks at itself: products that were written, recall, who was started."""

import numpy as np
import structlog
from pydantic import ValidationError

from schemas.control import OffsetRange
from schemas.index import IndexRecord
from services.monitor.canary_run import Instruments
from services.monitor.domain.drift.tally import Tally, of_documents
from services.monitor.search_client import SearchFailedError
from services.monitor.settings import Settings
from shared.ports import Vectors
from shared.records import Partition, Record
from shared.topic_reader import TopicReader

log = structlog.get_logger()
SEGMENT_FIELDS = ("category", "brand")
LONGEST = 80
TENTHS = 10


class Probes:
    """Everything is bounded: so many products a shard, so many queries, once a window."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        self._settings = settings
        self._drift = settings.monitor.drift
        self._with = instruments
        self._ends: dict[Partition, int] = {}

    async def look(self, generation: str, queries: Tally) -> tuple[Tally, frozenset[str]]:
        """Return what is added to a generation's tally of the window, and the fields of its products."""
        documents, fields = await self._documents(generation)
        counts = {**await self._recall(generation, queries), **await self._canaries(generation)}
        return documents + Tally(counts=counts), fields

    async def processes(self, generation: str) -> frozenset[str]:
        """Return the processes that serve a generation, as far as they can be seen."""
        owners = await self._with.generations.registry(generation).owners()
        started = await self._with.search.started()
        search = {f"search, {started}"} if started else set()
        return frozenset({f"shards, {owner.instance}" for owner in owners} | search)

    async def _recall(self, generation: str, queries: Tally) -> dict[str, int]:
        found = expected = 0
        for example in queries.query_examples[: self._drift.probes]:
            try:
                hits, of = await self._with.search.recall(example.text, generation=generation)
            except SearchFailedError as error:
                log.info("drift.probe_failed", generation=generation, reason=str(error))
                break
            found, expected = found + hits, expected + of
        return {"recalled": found, "probed": expected}

    async def _canaries(self, generation: str) -> dict[str, int]:
        results = await self._with.store(generation).results()
        found = sum(round(TENTHS * result.recall) for result in results)
        return {"canaries_found": found, "canaries_expected": TENTHS * len(results)}

    async def _documents(self, generation: str) -> tuple[Tally, frozenset[str]]:
        """Read the last products that were written since the last look."""
        topic = f"{IndexRecord.topic}.{generation}"
        if not self._drift.documents:
            return Tally(), frozenset()
        async with TopicReader(self._settings, [topic]) as reader:
            ends = dict(await reader.find_ends())
            ranges = [
                OffsetRange(
                    topic=at.topic,
                    partition=at.number,
                    start=max(self._ends.get(at, end), end - self._drift.documents, 0),
                    end=end,
                )
                for at, end in ends.items()
            ]
            records = [record async for record in reader.within(ranges)]
        self._ends |= ends
        return tally_of(records)


def tally_of(records: list[Record]) -> tuple[Tally, frozenset[str]]:
    """Return the tally of the products that live, by their first passage, and the names of their fields."""
    texts: list[str] = []
    vectors: list[Vectors] = []
    segments: list[str] = []
    fields: set[str] = set()
    for each in records:
        try:
            record = IndexRecord.decode(each.value or b"")
        except ValidationError:
            continue
        halves = np.frombuffer(record.vectors[: len(record.vectors) // 2 * 2], "<f2").astype(np.float32)
        if record.deleted or halves.size < record.dimensions or not np.isfinite(halves).all():
            continue
        texts.append(record.text or record.product_id)
        vectors.append(halves[: record.dimensions])
        fields |= set(record.document.fields)
        segments += segments_of(record)
    same = [at for at, vector in enumerate(vectors) if vector.size == vectors[0].size]
    rows = np.stack([vectors[at] for at in same]) if same else np.empty((0, 1), dtype=np.float32)
    return of_documents([texts[at] for at in same], rows, segments), frozenset(fields)


def segments_of(record: IndexRecord) -> list[str]:
    """Return `field=value` of the fields that products are grouped by."""
    found: list[str] = []
    for name in SEGMENT_FIELDS:
        value = record.document.fields.get(name)
        values = value if isinstance(value, tuple) else (value,)
        found += [f"{name}={each}"[:LONGEST] for each in values if each not in (None, "")]
    return found
