"""Step two, as values: what the live index answers, and how it ranks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.catalogue.product_identity import UNIDENTIFIED, ProductIdentity

Source = Literal["dense", "lexical", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievedProduct:
    """A product that the index proposes, with the raw scores it has, and where its record lies."""

    product_id: str
    dense: float | None
    lexical: float | None
    identity: ProductIdentity = UNIDENTIFIED
    title: str = ""
    covers: Callable[[], float] = field(default=lambda: 1.0, compare=False, repr=False)
    """Reads its text, of which there are a thousand a query and few decide anything."""
    partition: int = 0
    offset: int = 0

    @property
    def coverage(self) -> float:
        """Share of the query's words that its text has; of a text that nobody knows, all."""
        return self.covers()


@dataclass(frozen=True, slots=True)
class NegativeCandidate:
    """A hit among the first by vector or by words; `rank` is the better of the two, from 1."""

    hit: RetrievedProduct
    rank: int
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """The index's answer to one query.

    `scores` are the positives' dense scores; `identities` tell which products those are that may be relevant
    (`MiningPlan.right`); both as far as known.
    """

    generation: str
    fingerprint: str
    hits: tuple[RetrievedProduct, ...]
    scores: Mapping[str, float]
    identities: tuple[ProductIdentity, ...]
    cross_scores: Mapping[str, float] | None = None
    """How relevant a cross-encoder finds those hits that it was asked about, 0 to 1; None: there is none."""

    @property
    def weakest(self) -> float | None:
        """The score of the positive that is farthest from the query; None when no positive has one."""
        return min(self.scores.values(), default=None)


def candidates(hits: Iterable[RetrievedProduct], depth: int) -> list[NegativeCandidate]:
    """Return the union of the first `depth` by vector and by words, best rank first, in a total order."""
    retrieved = tuple(hits)
    dense = _ranks({hit.product_id: hit.dense for hit in retrieved}, depth)
    lexical = _ranks({hit.product_id: hit.lexical or None for hit in retrieved}, depth)
    union = []
    for hit in retrieved:
        ranks = [by_id[hit.product_id] for by_id in (dense, lexical) if hit.product_id in by_id]
        if ranks:
            one: Source = "dense" if hit.product_id in dense else "lexical"
            union.append(NegativeCandidate(hit, min(ranks), "both" if len(ranks) > 1 else one))
    return sorted(union, key=best_first)


def best_by_vector(hits: Iterable[RetrievedProduct]) -> list[RetrievedProduct]:
    """Return those that have a vector, the nearest first, in a total order."""
    scored = [hit for hit in hits if hit.dense is not None]
    return sorted(scored, key=lambda hit: (-(hit.dense or 0.0), hit.product_id))


def best_first(candidate: NegativeCandidate) -> tuple[int, float, str]:
    """Return what candidates are sorted by: rank, then closeness, then id."""
    return candidate.rank, -(candidate.hit.dense or 0.0), candidate.hit.product_id


def _ranks(scores: Mapping[str, float | None], depth: int) -> dict[str, int]:
    """Return the rank, from 1, of the best `depth` products that have a score."""
    ordered = sorted((-score, product_id) for product_id, score in scores.items() if score is not None)
    return {product_id: rank for rank, (_, product_id) in enumerate(ordered[:depth], start=1)}
