"""What several routes refuse alike."""

from collections.abc import Sequence

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


def unknown_generation(name: str, served: Sequence[str]) -> Refusal:
    """Return the refusal of a generation that there is not."""
    return Refusal(
        422,
        "generation.unknown",
        f"there is no generation {name}",
        fix=f"name one of {', '.join(served)}, or none for the live one",
    )
