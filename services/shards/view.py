"""One consistent moment of a shard, and what may be asked of it alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from schemas.fields import FieldKind
from schemas.filters import Filter
from schemas.search_api import ScoreAndRank
from schemas.shard_api import ShardHit
from services.shards.columns import kinds_at
from services.shards.domain.fields import KINDS
from services.shards.domain.filters import excluded_by
from services.shards.live_recall import RecentQueries
from services.shards.part import PartView
from services.shards.rows import Floats
from services.shards.searching import ViewQuery, hits_of, search
from shared.retrieval.bm25 import CorpusStatistics


class Explanation(NamedTuple):
    """Why a product is where it is in this shard."""

    dense: ScoreAndRank
    lexical: ScoreAndRank
    excluded_by: list[Filter]
    segment: str
    offset: int


class ProductPlace(NamedTuple):
    """Where a product lies."""

    part: PartView
    number: int

    @property
    def offset(self) -> int:
        """Where in the log its last record is."""
        return int(self.part.offsets[self.number])


@dataclass(frozen=True, slots=True)
class View:
    """A shard after one batch; never changes, so any number of threads may search it."""

    parts: tuple[PartView, ...]
    next_offset: int | None
    fingerprint: str | None
    dimensions: int | None
    title_weight: float
    queries: RecentQueries
    """What was asked of late, of this moment and of others."""

    @property
    def documents(self) -> int:
        """How many products live here."""
        return self.statistics.documents

    @property
    def statistics(self) -> CorpusStatistics:
        """How many they are, and how long."""
        return CorpusStatistics.total([part.statistics for part in self.parts])

    def search(self, query: ViewQuery) -> list[ShardHit]:
        """Return what `search` finds in this shard alone, with attributes, best dense score first."""
        [scores] = search([self], query)
        return hits_of(self, scores)

    def place(self, product_id: str) -> ProductPlace | None:
        """Return where a product lives; None: it does not."""
        wanted = product_id.encode()
        for part in reversed(self.parts):
            for number in np.flatnonzero(part.ids == wanted).tolist():
                if part.live[number]:
                    return ProductPlace(part, number)
        return None

    def places(self) -> Iterator[ProductPlace]:
        """Give every product that lives."""
        for part in self.parts:
            for number in np.flatnonzero(part.live).tolist():
                yield ProductPlace(part, number)

    def vector(self, product_id: str) -> Floats | None:
        """Return the product's vector (of several passages: their direction); None when it has none."""
        place = self.place(product_id)
        if place is None:
            return None
        vectors = place.part.rows.vectors[place.part.rows.of(place.number)].astype(np.float32)
        mean = vectors.sum(axis=0) if len(vectors) else np.zeros(1, np.float32)
        norm = float(np.linalg.norm(mean))
        return (mean / norm).astype(np.float32) if norm > 0 else None

    def kinds(self, filters: Sequence[Filter]) -> dict[str, list[FieldKind]]:
        """Return of what kinds the values are that the products here have of the filters' fields."""
        names = sorted({condition.field for condition in filters})
        letters = {
            name: {letter for part in self.parts for letter in kinds_at(name, part.columns, part.live)}
            for name in names
        }
        return {name: [KINDS[letter] for letter in KINDS if letter in letters[name]] for name in names}

    def explain(self, product_id: str, query: ViewQuery) -> Explanation | None:
        """Return scores, ranks among all products that pass the filters, and what excludes this one."""
        place = self.place(product_id)
        if place is None:
            return None
        everything = replace(query, k=max(1, self.documents), exact=True)
        [passing] = search([self], everything)
        [all_scores] = search([self], replace(everything, filters=()))
        number = next(number for number, part in enumerate(self.parts) if part is place.part)
        own, passes = (scores.position(number, place.number) for scores in (all_scores, passing))
        return Explanation(
            _standing(all_scores.dense, own, passing.dense, passes=passes),
            _standing(all_scores.lexical, own, passing.lexical, passes=passes),
            excluded_by(query.filters, place.part.parsed_fields(place.number)),
            place.part.name,
            place.offset,
        )


def _standing(scores: Floats, own: int | None, passing: Floats, *, passes: int | None) -> ScoreAndRank:
    """Return a product's score, and its rank among those that pass: each at its position, if it has one."""
    if own is None or np.isnan(scores[own]):
        return ScoreAndRank(score=None, rank=None)
    score = float(scores[own])
    rank = None if passes is None else 1 + int((passing > score).sum())
    return ScoreAndRank(score=score, rank=rank)
