"""One consistent moment of a shard, and how it is searched: dense, lexical, or both scores for each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson

from schemas.filters import Filter
from services.shards.domain.bitmap import Mask, member, spans
from services.shards.domain.filters import excluded_by
from services.shards.lexical import Reader
from services.shards.rows import Floats, Integers, Part

Mode = Literal["dense", "lexical", "hybrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
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


class Hit(NamedTuple):
    """A candidate with its scores (None: not found that way) and where it lies."""

    dense: float | None
    passage: int
    lexical: float | None
    product_id: str
    segment: str
    offset: int
    fields: dict[str, Any]  # Any: attribute values


class Rank(NamedTuple):
    """Where a product stands in one kind of search; ranks count from 1, None: not found."""

    score: float | None
    rank: int | None


class Explanation(NamedTuple):
    """Why a product is where it is in this shard."""

    dense: Rank
    lexical: Rank
    excluded_by: list[Filter]
    segment: str
    offset: int


class Place(NamedTuple):
    """The rows of one record: in which part, and which."""

    part: Part
    rows: Integers

    @property
    def product_id(self) -> str:
        """Whose they are."""
        return bytes(self.part.unit.ids[self.rows[0]]).decode("ascii")


@dataclass(frozen=True, slots=True)
class View:
    """A shard after one batch; never changes, so any number of threads may search it."""

    parts: tuple[Part, ...]
    reader: Reader
    next_offset: int | None
    fingerprint: str | None
    dimensions: int | None

    @property
    def documents(self) -> int:
        """How many products live here."""
        return self.reader.documents

    def search(self, query: Query) -> list[Hit]:
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
        return sorted(
            (
                Hit(
                    *self._dense(place, query),
                    lexical=lexical.get(offset),
                    product_id=place.product_id,
                    segment=place.part.unit.name,
                    offset=offset,
                    fields=orjson.loads(stored[offset])["fields"],
                )
                for offset, place in places.items()
            ),
            key=_best_first,
        )

    def nearest(self, query: Query, allowed: Integers | None = None) -> dict[int, float]:
        """Return {record offset: score} of the k products whose best passage is nearest."""
        if query.vector is None or query.vector.shape != (self.dimensions,):
            return {}
        found: list[tuple[float, int]] = []
        for part in self.parts:
            found += _best_products(part, query, self._mask(part, allowed))
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        return {offset: score for score, offset in found[: query.k]}

    def locate(self, offsets: Integers) -> dict[int, Place]:
        """Return the living rows of the records at these offsets."""
        places: dict[int, Place] = {}
        for part in self.parts:
            rows = spans(part.unit.offsets, offsets)
            rows = rows[part.live[rows]]
            for offset in np.unique(part.unit.offsets[rows]).tolist():
                places[offset] = Place(part, rows[part.unit.offsets[rows] == offset])
        return places

    def vector(self, product_id: str) -> Floats | None:
        """Return the product's vector (of several passages: their direction); None when it has none."""
        found = self.reader.product(product_id)
        place = self.locate(_integers([found[0]])).get(found[0]) if found else None
        if place is None:
            return None
        rows = place.rows[place.part.searchable[place.rows]]
        mean = place.part.unit.vectors_of(rows).sum(axis=0) if rows.size else np.zeros(1, np.float32)
        norm = float(np.linalg.norm(mean))
        return (mean / norm).astype(np.float32) if norm > 0 else None

    def explain(self, product_id: str, query: Query) -> Explanation | None:
        """Return scores, ranks among all products that pass the filters, and what excludes this one."""
        found = self.reader.product(product_id)
        if found is None:
            return None
        offset, stored = found
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

    def _mask(self, part: Part, allowed: Integers | None) -> Mask:
        if allowed is None:
            return part.searchable
        return part.searchable & member(part.unit.offsets, allowed)

    def _dense(self, place: Place, query: Query) -> tuple[float | None, int]:
        """Return the best passage's score and its number."""
        part, rows = place
        rows_with = rows[part.searchable[rows]]
        if not query.dense or query.vector is None or not rows_with.size:
            return None, 0
        scores = part.unit.vectors_of(rows_with) @ query.vector
        first = int(np.argmax(scores))
        return float(scores[first]), int(part.unit.table["passage"][rows_with[first]])


def _best_products(part: Part, query: Query, mask: Mask) -> list[tuple[float, int]]:
    """Return (score, record offset) of up to k products; reads on until k products are among the rows."""
    total = part.rows if mask is part.searchable else int(mask.sum())
    if query.vector is None or not total or query.k <= 0:
        return []
    look = part.unit.scan if query.exact else part.unit.search
    fetch = min(total, query.k)
    while True:
        rows, scores = look(query.vector, fetch, mask)
        offsets, first = np.unique(part.unit.offsets[rows], return_index=True)
        if len(offsets) >= query.k or fetch >= total:
            break
        fetch = min(total, fetch * 4)
    return list(zip(scores[first].tolist(), offsets.tolist(), strict=True))


def _best_first(hit: Hit) -> tuple[float, float, int]:
    dense = hit.dense if hit.dense is not None else -np.inf
    return -dense, -(hit.lexical or 0.0), hit.offset


def _rank(scores: dict[int, float], offset: int, score: float | None) -> Rank:
    if offset not in scores:
        return Rank(score, None)
    return Rank(scores[offset], 1 + sum(other > scores[offset] for other in scores.values()))


def _integers(values: Any) -> Integers:  # Any: anything that can be listed
    return np.array(sorted(values), np.int64)


def checked(vector: Floats, dimensions: int | None) -> Floats:
    """Return the query vector when it can be compared; raises ValueError otherwise."""
    if dimensions is not None and vector.shape != (dimensions,):
        raise ValueError(f"the query has {vector.size} dimensions, the index {dimensions}")
    if not np.isfinite(vector).all():
        raise ValueError("the query vector has a NaN or an infinity")
    return vector
