"""How well an answer serves a canary: recall@k and reciprocal rank (ir-measures' R@k and RR@k)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """`recall` and `reciprocal_rank` lie in [0, 1]; `missing` are the known products not in the top k."""

    recall: float
    reciprocal_rank: float
    missing: tuple[str, ...] = ()

    def reaches(self, minimum: float | None) -> bool:
        """Whether the recall reaches a minimum; without one, whether anything is found."""
        return self.recall > 0 if minimum is None else self.recall >= minimum


def score(expected: Iterable[str], ranked: Sequence[str], *, k: int) -> Score:
    """Score the first `k` distinct ranked products against the expected ones (at least one)."""
    wanted = tuple(dict.fromkeys(expected))
    top = tuple(dict.fromkeys(ranked))[:k]
    missing = tuple(product for product in wanted if product not in set(top))
    first = next((rank for rank, product in enumerate(top, start=1) if product in set(wanted)), None)
    return Score(
        recall=(len(wanted) - len(missing)) / len(wanted),
        reciprocal_rank=1 / first if first else 0.0,
        missing=missing,
    )


def mean(values: Sequence[float]) -> float:
    """Return the plain mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
