"""One consistent moment of a shard, and how it is searched: dense, lexical, or both scores for each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import orjson

from schemas.fields import FieldKind
from schemas.filters import Filter
from schemas.search_api import Mode, ScoreAndRank
from schemas.shard_api import ShardHit
from services.shards.domain.bitmap import Mask, member, spans
from services.shards.domain.fields import KINDS
from services.shards.domain.filters import excluded_by
from services.shards.lexical import LexicalReader
from services.shards.rows import Floats, Integers, SegmentView


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewQuery:
    """What a shard is asked; `vector` is a unit float32 row of the shard's dimensions, or None."""

    vector: Floats | None = None
    text: str | None = None
    k: int = 10
    mode: Mode = "hybrid"
    filters: Sequence[Filter] = ()
    exact: bool = False

    @property
    def dense(self) -> bool:
        """Whether nearest vectors are asked for."""
        return self.vector is not None and self.mode != "lexical"

    @property
    def lexical(self) -> bool:
        """Whether words are asked for."""
        return bool(self.text) and self.mode != "dense"


class Explanation(NamedTuple):
    """Why a product is where it is in this shard."""

    dense: ScoreAndRank
    lexical: ScoreAndRank
    excluded_by: list[Filter]
    segment: str
    offset: int


class RowLocation(NamedTuple):
    """The rows of one record: in which part, and which."""

    part: SegmentView
    rows: Integers

    @property
    def product_id(self) -> str:
        """Whose they are."""
        return bytes(self.part.unit.ids[self.rows[0]]).decode()


@dataclass(frozen=True, slots=True)
class View:
    """A shard after one batch; never changes, so any number of threads may search it."""

    parts: tuple[SegmentView, ...]
    reader: LexicalReader
    next_offset: int | None
    fingerprint: str | None
    dimensions: int | None

    @property
    def documents(self) -> int:
        """How many products live here."""
        return self.reader.documents

    def search(self, query: ViewQuery) -> list[ShardHit]:
        """Return the union of the top k by vector and the top k by words, best dense score first.

        In hybrid mode every candidate has both scores where it has them at all; a candidate without any of
        the words has no lexical score.
        """
        allowed = self.reader.matching(query.filters) if query.filters else None
        dense = self.nearest(query, allowed) if query.dense else {}
        lexical: dict[int, float] = {}
        if query.lexical and query.text:
            lexical = dict(self.reader.search(query.text, query.k, filters=query.filters))
            if query.dense:
                missing = _integers(dense.keys() - lexical.keys())
                lexical |= dict(self.reader.search(query.text, missing.size, offsets=missing))
        offsets = _integers(dense.keys() | lexical.keys())
        places, stored = self.locate(offsets), self.reader.stored(offsets)
        hits = []
        for offset, place in places.items():
            score, passage = self._dense(place, query)
            hits.append(
                ShardHit(
                    product_id=place.product_id,
                    dense=score,
                    lexical=lexical.get(offset),
                    passage=passage,
                    segment=place.part.unit.name,
                    offset=offset,
                    fields=orjson.loads(stored[offset])["fields"],
                )
            )
        return sorted(hits, key=_best_first)

    def nearest(self, query: ViewQuery, allowed: Integers | None = None) -> dict[int, float]:
        """Return {record offset: score} of the k products whose best passage is nearest."""
        if query.vector is None or query.vector.shape != (self.dimensions,):
            return {}
        nearest: list[tuple[float, int]] = []
        for part in self.parts:
            nearest += _best_products(part, query, self._mask(part, allowed))
        nearest.sort(key=lambda pair: (-pair[0], pair[1]))
        return {offset: score for score, offset in nearest[: query.k]}

    def locate(self, offsets: Integers) -> dict[int, RowLocation]:
        """Return the living rows of the records at these offsets."""
        places: dict[int, RowLocation] = {}
        for part in self.parts:
            rows = spans(part.unit.offsets, offsets)
            rows = rows[part.live[rows]]
            for offset in np.unique(part.unit.offsets[rows]).tolist():
                places[offset] = RowLocation(part, rows[part.unit.offsets[rows] == offset])
        return places

    def vector(self, product_id: str) -> Floats | None:
        """Return the product's vector (of several passages: their direction); None when it has none."""
        document = self.reader.product(product_id)
        place = self.locate(_integers([document[0]])).get(document[0]) if document else None
        if place is None:
            return None
        rows = place.rows[place.part.searchable[place.rows]]
        mean = place.part.unit.vectors_of(rows).sum(axis=0) if rows.size else np.zeros(1, np.float32)
        norm = float(np.linalg.norm(mean))
        return (mean / norm).astype(np.float32) if norm > 0 else None

    def kinds(self, filters: Sequence[Filter]) -> dict[str, list[FieldKind]]:
        """Return of what kinds the values are that the products here have of the filters' fields."""
        names = sorted({condition.field for condition in filters})
        return {name: [KINDS[letter] for letter in KINDS if self.reader.has(name, letter)] for name in names}

    def explain(self, product_id: str, query: ViewQuery) -> Explanation | None:
        """Return scores, ranks among all products that pass the filters, and what excludes this one."""
        document = self.reader.product(product_id)
        if document is None:
            return None
        offset, stored = document
        place = self.locate(_integers([offset]))[offset]
        others = replace(query, k=self.documents, exact=True)
        allowed = self.reader.matching(query.filters) if query.filters else None
        dense = self.nearest(others, allowed) if query.dense else {}
        lexical = (
            dict(self.reader.search(query.text or "", self.documents, filters=query.filters))
            if query.lexical
            else {}
        )
        excluded = excluded_by(query.filters, orjson.loads(stored)["fields"])
        return Explanation(
            _rank(dense, offset, self._dense(place, query)[0]),
            _rank(lexical, offset, lexical.get(offset)),
            excluded,
            place.part.unit.name,
            offset,
        )

    def _mask(self, part: SegmentView, allowed: Integers | None) -> Mask:
        if allowed is None:
            return part.searchable
        return part.searchable & member(part.unit.offsets, allowed)

    def _dense(self, place: RowLocation, query: ViewQuery) -> tuple[float | None, int]:
        """Return the best passage's score and its number."""
        part, rows = place
        rows_with = rows[part.searchable[rows]]
        if not query.dense or query.vector is None or not rows_with.size:
            return None, 0
        scores = part.unit.vectors_of(rows_with) @ query.vector
        first = int(np.argmax(scores))
        return float(scores[first]), int(part.unit.table["passage"][rows_with[first]])


def _best_products(part: SegmentView, query: ViewQuery, mask: Mask) -> list[tuple[float, int]]:
    """Return (score, record offset) of up to k products; reads on until k products are among the rows."""
    # Without filters the mask is the view's own: counting it again would cost a pass over all rows.
    total = part.rows if mask is part.searchable else int(mask.sum())
    if query.vector is None or not total or query.k <= 0:
        return []
    look = part.unit.scan if query.exact else part.unit.search
    fetch = min(total, query.k)
    while True:
        # Rows are passages, and a product counts once: when the best k rows are of fewer than k products,
        # look four times as deep. `return_index` is the first, so the best, row of each product.
        rows, scores = look(query.vector, fetch, mask)
        offsets, first = np.unique(part.unit.offsets[rows], return_index=True)
        if len(offsets) >= query.k or fetch >= total:
            break
        fetch = min(total, fetch * 4)
    return list(zip(scores[first].tolist(), offsets.tolist(), strict=True))


def _best_first(hit: ShardHit) -> tuple[float, float, int]:
    dense = hit.dense if hit.dense is not None else -np.inf
    return -dense, -(hit.lexical or 0.0), hit.offset


def _rank(scores: dict[int, float], offset: int, score: float | None) -> ScoreAndRank:
    if offset not in scores:
        return ScoreAndRank(score=score, rank=None)
    better = sum(other > scores[offset] for other in scores.values())
    return ScoreAndRank(score=scores[offset], rank=1 + better)


def _integers(values: Any) -> Integers:  # Any: anything that can be listed
    return np.array(sorted(values), np.int64)
