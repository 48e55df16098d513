"""Why a product is where it is in an answer, or is not there, in words."""

from schemas.filters import Filter
from schemas.search_api import ProductExplanation, ScoreAndRank


def explain(
    product_id: str,
    shard: ProductExplanation | None,
    *,
    rank: int | None,
    depth: int,
    reranker: float | None = None,
) -> list[str]:
    """Return the reasons as sentences; `shard` is None when no live product has that id."""
    if shard is None:
        return [f"{product_id} is not in the index: it was never written, was deleted, or is not applied yet"]
    reasons = [_excluded(condition) for condition in shard.excluded_by]
    reasons += [_kind("vector", shard.dense), _kind("words", shard.lexical)]
    if reranker is not None:
        reasons.append(f"the reranker gives it {reranker:.4f}")
    if rank is not None:
        reasons.append(f"together that makes it number {rank}")
    elif not shard.excluded_by:
        reasons.append(f"it is not among the first {depth}")
    return reasons


def _excluded(condition: Filter) -> str:
    limits = condition.model_dump(exclude={"field", "op"})
    return f"the filter on {condition.field} ({condition.op} {limits}) leaves it out"


def _kind(name: str, place: ScoreAndRank) -> str:
    if place.score is None:
        return f"by {name} it is not found"
    rank = f", number {place.rank} in its shard" if place.rank else ""
    return f"by {name} it scores {place.score:.4f}{rank}"
