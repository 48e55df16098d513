"""What a shard holds in memory: its parts, and for each product where its record lies and came from.

Only the shard's writer changes it; readers have views, whose arrays are never written to.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from schemas.index import AttributeRecord
from services.shards.domain.apply import RecordOrigin
from services.shards.domain.bitmap import spans
from services.shards.head import NAME as HEAD
from services.shards.head import Head
from services.shards.records import LogEntry, ShardEntry
from services.shards.rows import ROW, Integers, Rows, SegmentView
from services.shards.segment import Segment
from shared.errors import FatalError, PoisonError


class FingerprintError(FatalError):
    """A record was embedded by another model than the shard's."""


class Contents:
    """Parts (segments, then the head), origins of all products ever seen, offsets of the living."""

    def __init__(self) -> None:
        self.parts: list[SegmentView] = []
        self.topics: list[str] = []
        self.origins: dict[str, RecordOrigin] = {}
        self.offsets: dict[str, int] = {}
        self.next_offset: int | None = None
        self.fingerprint: str | None = None
        self.dimensions: int | None = None
        self._head: Head | None = None

    @property
    def head_rows(self) -> int:
        """Rows in the head, dead ones included."""
        return len(self._head) if self._head is not None else 0

    @property
    def segments(self) -> dict[str, SegmentView]:
        """The immutable parts by name."""
        return {part.unit.name: part for part in self.parts if part.unit.name != HEAD}

    def check(self, entries: Sequence[ShardEntry]) -> None:
        """Raise `FingerprintError` for another model's record, `PoisonError` for other dimensions."""
        for entry in entries:
            record = entry.record
            if record is None:
                continue
            self.fingerprint = self.fingerprint or record.fingerprint
            if record.fingerprint != self.fingerprint:
                raise FingerprintError(
                    f"offset {entry.offset}: product {entry.product_id} was embedded by model "
                    f"{record.fingerprint}, this shard holds {self.fingerprint}"
                )
            if isinstance(record, AttributeRecord):
                continue
            self.dimensions = self.dimensions or record.dimensions
            if record.dimensions != self.dimensions:
                explanation = f"{record.dimensions} dimensions, the shard has {self.dimensions}"
                raise PoisonError("vectors.dimensions", explanation)

    def replace(self, entries: Sequence[LogEntry]) -> None:
        """Take the old rows of these products out, and put the new ones of those that live in."""
        known = (entry.product_id for entry in entries if entry.product_id in self.offsets)
        old = sorted(map(self.offsets.pop, known))
        self._kill(np.array(old, np.int64))
        self._append(self._rows([entry for entry in entries if not entry.deleted]))
        for entry in entries:
            origin = entry.origin()
            if origin is None:
                self.origins.pop(entry.product_id, None)
            else:
                self.origins[entry.product_id] = origin
            if not entry.deleted:
                self.offsets[entry.product_id] = entry.offset

    def seal(self, write: Callable[[Rows], Segment]) -> Segment | None:
        """Turn the head's live rows into a segment; None when there are none."""
        if self._head is None:
            return None
        rows = self.parts[-1].unit.rows().take(self.parts[-1].live)
        segment = write(rows) if len(rows.ids) else None
        self.parts.pop()
        self._head = None
        if segment is not None:
            self.parts.append(SegmentView.of(segment, np.ones(len(rows.ids), np.bool_)))
        return segment

    def swap(self, before: dict[str, SegmentView], merged: Segment | None) -> None:
        """Put the merged segment in the place of its sources, less what died while it was written."""
        now = self.segments
        died = [part.unit.offsets[part.live & ~now[name].live] for name, part in before.items()]
        self.parts = [part for part in self.parts if part.unit.name not in before]
        if merged is not None:
            live = np.ones(len(merged.ids), np.bool_)
            live[spans(merged.offsets, np.unique(np.concatenate(died)))] = False
            self.parts.insert(0, SegmentView.of(merged, live))

    def deleted(self) -> dict[str, RecordOrigin]:
        """Return the origins of the products that do not live."""
        gone = self.origins.keys() - self.offsets.keys()
        return {product_id: self.origins[product_id] for product_id in sorted(gone)}

    def _kill(self, offsets: Integers) -> None:
        for position, part in enumerate(self.parts):
            rows = spans(part.unit.offsets, offsets)
            if rows.size:
                live = part.live.copy()
                live[rows] = False
                self.parts[position] = SegmentView.of(part.unit, live)

    def _append(self, rows: Rows) -> None:
        if not len(rows.ids):
            return
        before = self.parts.pop().live if self._head is not None else np.empty(0, np.bool_)
        self._head = self._head or Head(rows.vectors.shape[1])
        self._head.append(rows)
        live = np.concatenate([before, np.ones(len(rows.ids), np.bool_)])
        self.parts.append(SegmentView.of(self._head.view(), live))

    def _rows(self, entries: Sequence[LogEntry]) -> Rows:
        """Return a row a passage; a product without a vector has one row, which is never searched."""
        dimensions = self.dimensions or 1
        described = [row for entry in entries for row in self._described(entry)]
        ids = [entry.product_id.encode() for entry in entries for _ in range(max(1, len(entry.vectors)))]
        nothing = np.zeros((1, dimensions), np.float16)
        vectors = [entry.vectors if len(entry.vectors) else nothing for entry in entries]
        stacked = np.concatenate([nothing[:0], *vectors])
        return Rows(np.array(ids, "S128"), np.array(described, ROW), stacked)

    def _described(self, entry: LogEntry) -> Iterator[tuple[int, ...]]:
        origin = entry.origin()
        if origin is None:
            raise FatalError("a tombstone has no rows")
        if origin.topic not in self.topics:
            self.topics.append(origin.topic)
        topic = self.topics.index(origin.topic)
        for passage in range(len(entry.vectors)) if len(entry.vectors) else (-1,):
            yield entry.offset, passage, topic, origin.partition, origin.epoch, origin.offset


def merged_rows(parts: Sequence[SegmentView]) -> Rows:
    """Return the live rows of these parts as one, in the order of the log."""
    taken = [part.unit.rows().take(part.live) for part in parts]
    width = max(rows.ids.dtype.itemsize for rows in taken)
    ids = np.concatenate([rows.ids.astype(f"S{width}") for rows in taken])
    table = np.concatenate([rows.table for rows in taken])
    vectors = np.concatenate([rows.vectors for rows in taken])
    order = np.argsort(table["offset"], kind="stable")
    return Rows(ids[order], table[order], vectors[order])
