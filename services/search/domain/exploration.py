"""Places that show products from deeper in the ranking, so that something is learned of these, too."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from services.search.domain.fusion import RankedCandidate

PAGE = 10
"""Places of a page; the lower half of each may be explored, where it costs shoppers least."""
_HASHES = 2**64


def explore(
    ranked: Sequence[RankedCandidate], k: int, *, share: float, query_id: str
) -> tuple[list[RankedCandidate], tuple[int, ...]]:
    """Return the first `k` hits, and those of their places, from 1, that are explored.

    Each place in the lower half of a page is explored with probability `share`; it then shows a product that
    is ranked behind the first page and is not shown yet. Which ones is a function of the query's and the
    products' ids, and the list for a smaller `k` is the beginning of that for a larger one.
    """
    deeper = iter(sorted(ranked[PAGE:], key=lambda hit: _draw(query_id, hit.candidate.product_id)))
    usual = iter(ranked)
    shown: dict[str, RankedCandidate] = {}
    places: list[int] = []

    def unseen(hits: Iterator[RankedCandidate]) -> RankedCandidate | None:
        return next((hit for hit in hits if hit.candidate.product_id not in shown), None)

    for place in range(1, k + 1):
        lower = (place - 1) % PAGE >= PAGE // 2
        hit = unseen(deeper) if lower and _draw(query_id, str(place)) < share else None
        if hit is not None:
            places.append(place)
        elif (hit := unseen(usual)) is None:
            break
        shown[hit.candidate.product_id] = hit
    return list(shown.values()), tuple(places)


def _draw(query_id: str, of: str) -> float:
    """Return a number in [0, 1) that looks random, and is always the same."""
    seed = blake2b(query_id.encode(), digest_size=32).digest()
    return (
        int.from_bytes(blake2b(of.encode(), key=seed, digest_size=8, person=b"exploration").digest())
        / _HASHES
    )
