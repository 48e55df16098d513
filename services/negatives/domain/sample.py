"""Step four: which of the admitted are taken, and how hard they are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Literal

from services.negatives.domain.candidates import NegativeCandidate, best_first
from services.negatives.domain.rules import MiningRules
from shared.catalogue.product_identity import ProductIdentity

Difficulty = Literal["easy", "medium", "hard"]
CROSS_SCORED = 3
"""So many times as many candidates as are taken are shown to the cross-encoder."""


@dataclass(frozen=True, slots=True)
class SampledNegative:
    """A negative of a query."""

    candidate: NegativeCandidate
    score: float
    difficulty: Difficulty


def preferred(
    admitted: Sequence[NegativeCandidate], rules: MiningRules, *, seed: str
) -> list[NegativeCandidate]:
    """Return those that may be taken, each product once, in the order in which they are.

    They are within the range of ranks, and more than enough: also for a cross-encoder that refuses some.

    `random` draws by a hash of seed and product: the same seed draws the same, in whatever order they come.
    """
    within = [candidate for candidate in admitted if rules.first_rank <= candidate.rank <= rules.last_rank]
    distinct = _distinct(sorted(within, key=best_first), rules.overlap)
    if rules.method == "random":
        return sorted(distinct, key=lambda candidate: _lot(seed, candidate.hit.product_id))
    return list(islice(distinct, CROSS_SCORED * rules.number))


def sample(
    ordered: Sequence[NegativeCandidate], rules: MiningRules, *, weakest: float
) -> tuple[SampledNegative, ...]:
    """Return the first `rules.number` of them, best rank first, with how hard they are."""
    taken = sorted(ordered[: rules.number], key=best_first)
    return tuple(_sampled(candidate, rules, weakest) for candidate in taken)


def difficulty(score: float, weakest: float, rules: MiningRules) -> Difficulty:
    """Return how hard it is to tell a score from the weakest positive's, by its share of that one."""
    share = score / weakest if weakest > 0 else 0.0
    if share >= rules.hard:
        return "hard"
    return "medium" if share >= rules.medium else "easy"


def _distinct(ordered: Iterable[NegativeCandidate], overlap: float) -> Iterator[NegativeCandidate]:
    """Yield of those that are the same product the first."""
    distinct: list[ProductIdentity] = []
    for candidate in ordered:
        identity = candidate.hit.identity
        if not any(identity.is_same(other, overlap) for other in distinct):
            distinct.append(identity)
            yield candidate


def _sampled(candidate: NegativeCandidate, rules: MiningRules, weakest: float) -> SampledNegative:
    score = candidate.hit.dense if candidate.hit.dense is not None else 0.0
    return SampledNegative(candidate, score, difficulty(score, weakest, rules))


def _lot(seed: str, product_id: str) -> bytes:
    return blake2b(f"{seed}\t{product_id}".encode(), digest_size=8).digest()
