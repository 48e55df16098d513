"""A shard as a dictionary: what the real one must be indistinguishable from."""

from collections.abc import Sequence

import numpy as np

from schemas.index import IndexRecord
from services.shards.domain.apply import supersedes
from services.shards.domain.filters import excluded_by
from services.shards.records import LogEntry
from services.shards.searching import ViewQuery


class FakeShard:
    """Products in a dict, searched by comparing with everything."""

    def __init__(self) -> None:
        self.products: dict[str, LogEntry] = {}
        self.epochs: dict[str, int | None] = {}
        self.next_offset: int | None = None

    def apply(self, entries: Sequence[LogEntry], next_offset: int) -> None:
        for entry in entries:
            if entry.offset < (self.next_offset or 0):
                continue
            if not supersedes(entry.epoch, self.epochs.get(entry.product_id)):
                continue
            self.epochs[entry.product_id] = entry.epoch
            self.products.pop(entry.product_id, None)
            if not entry.deleted:
                self.products[entry.product_id] = entry
        self.next_offset = max(self.next_offset or 0, next_offset)

    def record(self, product_id: str) -> IndexRecord:
        record = self.products[product_id].record
        assert record is not None
        return record

    def nearest(self, query: ViewQuery) -> list[tuple[str, float]]:
        """(product, score) of the best k, best first; a product counts as its best passage."""
        scores = []
        for product_id, entry in self.products.items():
            fields = self.record(product_id).document.fields
            if len(entry.vectors) and not excluded_by(query.filters, fields):
                best = float((entry.vectors.astype(np.float32) @ query.vector).max())
                scores += [(product_id, best)] if np.isfinite(best) else []
        return sorted(scores, key=lambda pair: -pair[1])[: query.k]


class RealShard:
    """The real shard with the fake's face."""

    def __init__(self, shard) -> None:
        self.shard = shard

    def apply(self, entries: Sequence[LogEntry], next_offset: int) -> None:
        self.shard.apply(entries, next_offset)

    @property
    def next_offset(self) -> int | None:
        return self.shard.view.next_offset

    def nearest(self, query: ViewQuery) -> list[tuple[str, float]]:
        return [(hit.product_id, hit.dense) for hit in self.shard.view.search(query)]
