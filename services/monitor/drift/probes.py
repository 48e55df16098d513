"""What the drift watch measures itself: products that were written, recall, which processes run."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import structlog
from pydantic import ValidationError

from schemas.control import OffsetRange
from schemas.index import IndexRecord
from services.monitor.dependencies import MonitorDependencies
from services.monitor.drift.domain.tally import WindowTally, tally_documents
from services.monitor.drift.settings import DriftSettings
from services.monitor.search_probe import SearchFailedError
from shared.arrays import Vectors
from shared.generations.canary_results import canary_results
from shared.kafka.topic_reader import TopicReader
from shared.records import Partition, Record
from shared.settings import Settings

log = structlog.get_logger()
SEGMENT_FIELDS = ("category", "brand")
LONGEST = 80
TENTHS = 10


class Probes:
    """Everything is bounded: so many products a shard, so many queries, once a window."""

    def __init__(self, settings: Settings, section: DriftSettings, dependencies: MonitorDependencies) -> None:
        self._settings = settings
        self._section = section
        self._redis = dependencies.redis
        self._search = dependencies.search
        self._generations = dependencies.generations
        self._ends: dict[Partition, int] = {}

    async def measure(self, generation: str, queries: WindowTally) -> tuple[WindowTally, frozenset[str]]:
        """Return what is added to a generation's tally of the window, and the fields of its products."""
        documents, fields = await self._documents(generation)
        counts = {**await self._recall(generation, queries), **await self._canaries(generation)}
        return documents + WindowTally(counts=counts), fields

    async def processes(self, generation: str) -> frozenset[str]:
        """Return the processes that serve a generation, as far as they can be seen."""
        owners = await self._generations.registry(generation).owners()
        started = await self._search.started()
        search = {f"search, {started}"} if started else set()
        return frozenset({f"shards, {owner.instance}" for owner in owners} | search)

    async def _recall(self, generation: str, queries: WindowTally) -> dict[str, int]:
        recalled = probed = 0
        for example in queries.query_examples[: self._section.probes]:
            try:
                hits, expected = await self._search.recall(example.text, generation=generation)
            except SearchFailedError as error:
                log.info("drift.probe_failed", generation=generation, reason=str(error))
                break
            recalled, probed = recalled + hits, probed + expected
        return {"recalled": recalled, "probed": probed}

    async def _canaries(self, generation: str) -> dict[str, int]:
        results = await canary_results(self._redis, self._settings.namespace, generation)
        recalled = sum(round(TENTHS * result.recall) for result in results.values())
        return {"canaries_found": recalled, "canaries_expected": TENTHS * len(results)}

    async def _documents(self, generation: str) -> tuple[WindowTally, frozenset[str]]:
        """Read the last products that were written since the last window."""
        topic = f"{IndexRecord.topic}.{generation}"
        if not self._section.documents:
            return WindowTally(), frozenset()
        async with TopicReader(self._settings, [topic]) as reader:
            ends = dict(await reader.find_ends())
            ranges = [
                OffsetRange(
                    topic=partition.topic,
                    partition=partition.number,
                    start=max(self._ends.get(partition, end), end - self._section.documents, 0),
                    end=end,
                )
                for partition, end in ends.items()
            ]
            records = [record async for record in reader.within(ranges)]
        self._ends |= ends
        return tally_of(records)


def tally_of(records: Iterable[Record]) -> tuple[WindowTally, frozenset[str]]:
    """Return the tally of the products that live, by their first passage, and the names of their fields."""
    usable = [product for product in map(_product, records) if product is not None]
    if not usable:
        return WindowTally(), frozenset()
    # While a generation's model is replaced two sizes may lie in one topic: the first one's are compared.
    alike = [(product, vector) for product, vector in usable if vector.size == usable[0][1].size]
    texts = [product.text or product.product_id for product, _ in alike]
    segments = chain.from_iterable(segments_of(product) for product, _ in usable)
    tally = tally_documents(texts, np.stack([vector for _, vector in alike]), segments)
    return tally, frozenset(chain.from_iterable(product.document.fields for product, _ in usable))


def _product(record: Record) -> tuple[IndexRecord, Vectors] | None:
    """Return a product with its first vector; None when it was deleted, or cannot be read."""
    try:
        product = IndexRecord.decode(record.value or b"")
    except ValidationError:
        return None
    whole_halves = product.vectors[: len(product.vectors) // 2 * 2]
    numbers = np.frombuffer(whole_halves, "<f2").astype(np.float32)
    if product.deleted or numbers.size < product.dimensions or not np.isfinite(numbers).all():
        return None
    return product, numbers[: product.dimensions]


def segments_of(product: IndexRecord) -> list[str]:
    """Return `field=value` of the fields that products are grouped by."""
    segments: list[str] = []
    for name in SEGMENT_FIELDS:
        value = product.document.fields.get(name)
        values = value if isinstance(value, tuple) else (value,)
        segments += [f"{name}={single}"[:LONGEST] for single in values if single not in (None, "")]
    return segments
