"""A shard as a dictionary: what the real one must be indistinguishable from."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from schemas.filters import Filter
from schemas.index import IndexRecord
from services.shards.domain.apply import supersedes
from services.shards.domain.filters import excluded_by
from services.shards.records import AttributeEntry, LogEntry, ShardEntry
from services.shards.searching import ViewQuery
from shared.catalogue.documents import absorb
from shared.catalogue.texts import words_in
from shared.retrieval.bm25 import K1, B
from shared.retrieval.text import analyzer

_CHAIN = analyzer()


class FakeShard:
    """Products in a dict, searched by comparing with everything."""

    def __init__(self) -> None:
        self.products: dict[str, LogEntry] = {}
        self.epochs: dict[str, int | None] = {}
        self.next_offset: int | None = None

    def apply(self, entries: Sequence[ShardEntry], next_offset: int) -> None:
        for entry in entries:
            if entry.offset < (self.next_offset or 0):
                continue
            if isinstance(entry, AttributeEntry):
                self._join(entry)
                continue
            if not supersedes(entry.epoch, self.epochs.get(entry.product_id)):
                continue
            self.epochs[entry.product_id] = entry.epoch
            self.products.pop(entry.product_id, None)
            if not entry.deleted:
                self.products[entry.product_id] = entry
        self.next_offset = max(self.next_offset or 0, next_offset)

    def _join(self, entry: AttributeEntry) -> None:
        """Put an attribute record into the index record that it belongs to."""
        before = self.products.get(entry.product_id)
        if before is None or before.record is None:
            return
        record, said = before.record, entry.record
        if said.belongs_to(record.content_hash, record.epoch):
            document = absorb(record.document, said.changes)
            after = record.model_copy(update={"document": document, "epoch": said.epoch})
            self.products[entry.product_id] = replace(before, record=after, offset=entry.offset)
            self.epochs[entry.product_id] = said.epoch

    def words(self, text: str, filters: Sequence[Filter], *, k: int) -> list[tuple[str, float]]:
        """(product, BM25F score) of the best k by the formula, and of all that equal the last; best first."""
        texts = {
            product_id: [
                word
                for value in entry.record.document.fields.values()
                for text in words_in(value)
                for word in _CHAIN.analyze(text)
            ]
            for product_id, entry in self.products.items()
        }
        mean = sum(map(len, texts.values())) / max(len(texts), 1) or 1.0
        scores = []
        for product_id, words in texts.items():
            score = 0.0
            for word in dict.fromkeys(_CHAIN.analyze(text)):
                count = sum(word in other for other in texts.values())
                inverse = math.log1p((len(texts) - count + 0.5) / (count + 0.5))
                norm = K1 * (1 - B + B * len(words) / mean)
                score += inverse * (K1 + 1) * words.count(word) / (words.count(word) + norm)
            fields = self.record(product_id).document.fields
            if score and not excluded_by(filters, fields):
                scores.append((product_id, score))
        return sorted(scores, key=lambda pair: -pair[1])[:k]

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

    def apply(self, entries: Sequence[ShardEntry], next_offset: int) -> None:
        self.shard.apply(entries, next_offset)

    @property
    def next_offset(self) -> int | None:
        return self.shard.view.next_offset

    def nearest(self, query: ViewQuery) -> list[tuple[str, float]]:
        return [(hit.product_id, hit.dense) for hit in self.shard.view.search(query)]
