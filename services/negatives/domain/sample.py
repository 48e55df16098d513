"""Step four: which of the admitted are taken, and how hard they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from services.negatives.domain.candidates import Candidate
from services.negatives.domain.rules import Rules

Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A negative of a query."""

    candidate: Candidate
    score: float
    difficulty: Difficulty


def preferred(admitted: Sequence[Candidate], rules: Rules, *, seed: str) -> list[Candidate]:
    """Return those within the range of ranks, in the order in which they are taken.

    `random` draws by a hash of seed and product: the same seed draws the same, in whatever order they come.
    """
    within = [it for it in admitted if rules.first_rank <= it.rank <= rules.last_rank]
    if rules.method == "random":
        return sorted(within, key=lambda it: _lot(seed, it.hit.product_id))
    return sorted(within, key=_order)


def sample(taken: Sequence[Candidate], rules: Rules, *, weakest: float) -> tuple[Chosen, ...]:
    """Return the first `rules.number` of them, best rank first, with how hard they are."""
    return tuple(_chosen(it, rules, weakest) for it in sorted(taken[: rules.number], key=_order))


def difficulty(score: float, weakest: float, rules: Rules) -> Difficulty:
    """Return how hard it is to tell it from the weakest positive, by the share of that one's score."""
    share = score / weakest if weakest > 0 else 0.0
    if share >= rules.hard:
        return "hard"
    return "medium" if share >= rules.medium else "easy"


def _chosen(candidate: Candidate, rules: Rules, weakest: float) -> Chosen:
    score = candidate.hit.dense if candidate.hit.dense is not None else 0.0
    return Chosen(candidate, score, difficulty(score, weakest, rules))


def _order(it: Candidate) -> tuple[int, float, str]:
    return it.rank, -(it.hit.dense or 0.0), it.hit.product_id


def _lot(seed: str, product_id: str) -> bytes:
    return blake2b(f"{seed}\t{product_id}".encode(), digest_size=8).digest()
