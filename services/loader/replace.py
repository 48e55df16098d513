"""What earlier loads of a source brought and this one has not: told by the log of changes itself.

The products of a load are the keys of its messages, which lie within the ranges that its manifest names. So
any machine can ask what is gone, and nothing has to be kept but what is on the bus.
"""

from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.catalogue import ProductChange
from schemas.control import OffsetRange
from schemas.loads import LOAD_HEADER, CatalogueLoad
from shared.kafka.topic_reader import TopicReader
from shared.records import Partition
from shared.settings import Settings

SHARE = 0.1
"""More than this of a source is not deleted unless somebody says yes."""
AT_ONCE = 10_000
Hashes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gone:
    """What a source had before a load, and which of it the load has not."""

    before: int
    """Products of earlier loads."""
    missing: tuple[str, ...]
    """Those that this load has not, by id."""
    unreadable: int = 0
    """Earlier loads of which the topic has not everything any more."""

    @property
    def share(self) -> float:
        """How much of the source is missing."""
        return len(self.missing) / self.before if self.before else 0.0


async def find_gone(
    settings: Settings, earlier: Sequence[CatalogueLoad], present: "array[int]", *, log: str
) -> Gone:
    """Return what is gone; `present` are the hashes of this load's products, `log` the topic's identity."""
    known = np.sort(np.frombuffer(present, dtype=np.int64)) if present else np.empty(0, np.int64)
    before = array("q")
    missing: dict[str, None] = {}
    unreadable = 0
    async with TopicReader(settings, [ProductChange.topic]) as reader:
        for load in earlier:
            if load.log != log:
                unreadable += 1
                continue
            ranges = await _ranges(reader, load)
            unreadable += any(reader.beginnings[at] > part.start for at, part in ranges)
            ids: list[str] = []
            async for product_id in _products(reader, load, [part for _, part in ranges]):
                ids.append(product_id)
                if len(ids) == AT_ONCE:
                    _sift(ids, known, before=before, missing=missing)
                    ids = []
            _sift(ids, known, before=before, missing=missing)
    return Gone(len(np.unique(np.frombuffer(before, np.int64))) if before else 0, tuple(missing), unreadable)


async def _ranges(reader: TopicReader, load: CatalogueLoad) -> list[tuple[Partition, OffsetRange]]:
    """Return the ranges that a load may have written to; one that is not done may write still."""
    ends = await reader.find_ends()
    named = {part.partition: part for part in load.ranges}
    ranges = []
    for at, end in ends.items():
        part = named.get(at.number)
        begin = part.start if part else 0
        last = part.end if part and load.status == "done" else end
        ranges.append((at, OffsetRange(topic=at.topic, partition=at.number, start=begin, end=min(last, end))))
    return ranges


async def _products(
    reader: TopicReader, load: CatalogueLoad, ranges: Sequence[OffsetRange]
) -> AsyncIterator[str]:
    mark = load.load_id.encode()
    async for record in reader.within(ranges):
        if record.key is not None and record.header(LOAD_HEADER) == mark:
            yield record.key.decode()


def _sift(ids: Sequence[str], known: Hashes, *, before: "array[int]", missing: dict[str, None]) -> None:
    hashes = np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids))
    before.frombytes(hashes.tobytes())
    places = np.minimum(np.searchsorted(known, hashes), max(0, len(known) - 1))
    absent = known[places] != hashes if len(known) else np.ones(len(ids), bool)
    missing.update((ids[place], None) for place in np.flatnonzero(absent).tolist())
