"""From two scores to one rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.search_api import Fusion, Mode
from services.search.domain.candidate import Candidate
from shared.retrieval.fusion import unit_range, weighted

RRF_K = 60
"""Cormack, Clarke, Buettcher: Reciprocal Rank Fusion, SIGIR 2009."""


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate with the score it is ranked by."""

    candidate: Candidate
    score: float
    reranker: float | None = None
    """What the reranker's model gave it, if it was read."""


def rank(candidates: Sequence[Candidate], k: int, *, mode: Mode, fusion: Fusion) -> list[RankedCandidate]:
    """Return the best k, best first; equal scores are ordered by product id, so the order is total.

    In mode `dense` or `lexical` the score is the raw one, and a candidate without it is left out.
    """
    if mode == "hybrid":
        ranked = [RankedCandidate(*pair) for pair in zip(candidates, fuse(candidates, fusion), strict=True)]
    else:
        raw = _dense if mode == "dense" else _lexical
        scored = ((candidate, raw(candidate)) for candidate in candidates)
        ranked = [RankedCandidate(candidate, score) for candidate, score in scored if score is not None]
    return sorted(ranked, key=best_first)[:k]


def best_first(ranked: RankedCandidate) -> tuple[float, str]:
    """Return what to sort by."""
    return -ranked.score, ranked.candidate.product_id


def fuse(candidates: Sequence[Candidate], fusion: Fusion) -> list[float]:
    """Return one score in 0 .. 1 a candidate (`weighted`), or its weighted reciprocal ranks (`rrf`)."""
    scale = _reciprocal_ranks if fusion.method == "rrf" else unit_range
    dense = [_dense(candidate) for candidate in candidates]
    lexical = [_matching(candidate) for candidate in candidates]
    return weighted(dense, lexical, fusion.dense_weight, scale=scale)


def _reciprocal_ranks(scores: Sequence[float | None]) -> list[float]:
    """Return 1 / (60 + rank), equal scores sharing the better rank; 0 for those without a score."""
    places = {score: place for place, score in reversed(list(enumerate(_descending(scores), start=1)))}
    return [0.0 if score is None else 1 / (RRF_K + places[score]) for score in scores]


def _descending(scores: Sequence[float | None]) -> list[float]:
    return sorted((score for score in scores if score is not None), reverse=True)


def _dense(candidate: Candidate) -> float | None:
    return candidate.hit.dense


def _lexical(candidate: Candidate) -> float | None:
    return candidate.hit.lexical


def _matching(candidate: Candidate) -> float | None:
    """Return the BM25 score; one of zero means that no word was found."""
    return candidate.hit.lexical or None
