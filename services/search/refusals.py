"""What several routes refuse alike."""

from shared.http.problem import Refusal


def unavailable(reason: str) -> Refusal:
    """Return the refusal of what no shard could answer."""
    return Refusal(
        503,
        "index.unavailable",
        f"no shard could answer: {reason}",
        fix="wait until the shards are ready (`/readyz` of the shards worker says how far they are)",
        headers={"Retry-After": "1"},
    )
