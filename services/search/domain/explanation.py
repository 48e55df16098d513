"""Why a product is where it is in an answer, or is not there, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

Shard = Mapping[str, Any]  # Any: what a shard says of the product (JSON)


def explain(
    product_id: str, shard: Shard | None, *, rank: int | None, depth: int, last_stage: float | None = None
) -> list[str]:
    """Return the reasons as sentences; `shard` is None when no live product has that id."""
    if shard is None:
        return [f"{product_id} is not in the index: it was never written, was deleted, or is not applied yet"]
    reasons = [_excluded(condition) for condition in shard.get("excluded_by") or ()]
    reasons += [_kind("vector", shard.get("dense")), _kind("words", shard.get("lexical"))]
    if last_stage is not None:
        reasons.append(f"the last stage gives it {last_stage:.4f}")
    if rank is not None:
        reasons.append(f"together that makes it number {rank}")
    elif not shard.get("excluded_by"):
        reasons.append(f"it is not among the first {depth}")
    return [reason for reason in reasons if reason]


def _excluded(condition: Mapping[str, Any]) -> str:  # Any: JSON
    limits = {key: value for key, value in condition.items() if key not in {"field", "op"}}
    return f"the filter on {condition.get('field')} ({condition.get('op')} {limits}) leaves it out"


def _kind(name: str, found: Mapping[str, Any] | None) -> str:  # Any: JSON
    if not found or found.get("score") is None:
        return f"by {name} it is not found"
    rank = found.get("rank")
    place = f", number {rank} in its shard" if rank else ""
    return f"by {name} it scores {found['score']:.4f}{place}"


def words(reasons: Sequence[str]) -> str:
    """Return the reasons as one line."""
    return "; ".join(reasons) + "."
