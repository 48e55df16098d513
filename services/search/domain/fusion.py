"""From two scores to one rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.search_api import Fusion, Mode
from services.search.domain.candidate import Candidate
from shared.retrieval.fusion import SCALES, Candidates, Tiers, tiered


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate with the score it is ranked by."""

    candidate: Candidate
    score: float
    reranker: float | None = None
    """What the reranker's model gave it, if it was read."""


def rank(
    candidates: Sequence[Candidate], k: int, *, mode: Mode, fusion: Fusion, depth: int
) -> list[RankedCandidate]:
    """Return the best k, best first; equal scores are ordered by product id, so the order is total.

    The first k of a longer list are those of a shorter one: hybrid ranks are made in tiers of `depth` (see
    `shared.retrieval.fusion`). In mode `dense` or `lexical` the score is the raw one, and a candidate without
    it is left out.
    """
    if mode == "hybrid":
        by_id = sorted(candidates, key=_id)
        fused = _fused(by_id, fusion, Tiers.of(k, depth))
        return [RankedCandidate(by_id[place], score) for place, score in fused[:k]]
    raw = _dense if mode == "dense" else _lexical
    scored = ((candidate, raw(candidate)) for candidate in candidates)
    ranked = [RankedCandidate(candidate, score) for candidate, score in scored if score is not None]
    return sorted(ranked, key=best_first)[:k]


def rank_of(ranked: Sequence[RankedCandidate], product_id: str) -> int | None:
    """Return the product's rank in an answer, from 1; None when it is not there."""
    places = (place for place, hit in enumerate(ranked, 1) if hit.candidate.product_id == product_id)
    return next(places, None)


def best_first(ranked: RankedCandidate) -> tuple[float, str]:
    """Return what to sort by."""
    return -ranked.score, ranked.candidate.product_id


def _fused(candidates: Sequence[Candidate], fusion: Fusion, tiers: Tiers) -> list[tuple[int, float]]:
    """Return places and scores: in 0 .. 1 (`weighted`), or weighted reciprocal ranks (`rrf`)."""
    scores = Candidates(
        [_dense(candidate) for candidate in candidates],
        [_matching(candidate) for candidate in candidates],
    )
    return tiered(scores, fusion.dense_weight, scale=SCALES[fusion.method], tiers=tiers)


def _id(candidate: Candidate) -> str:
    return candidate.product_id


def _dense(candidate: Candidate) -> float | None:
    return candidate.hit.dense


def _lexical(candidate: Candidate) -> float | None:
    return candidate.hit.lexical


def _matching(candidate: Candidate) -> float | None:
    """Return the BM25 score; one of zero means that no word was found."""
    return candidate.hit.lexical or None
