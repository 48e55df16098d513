"""Trials on simulated shoppers: sessions on drafted pages, and how trials of them end.

A pool of sessions is simulated one by one, through the draft, the walk down the page and the credit that the
live system has. Trials then draw sessions from the pool, which makes thousands of them cheap; they are
looked at, all together, after the numbers of sessions and with the boundaries of the real decision.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Self

import numpy as np
from numpy.typing import NDArray

from schemas.control import TrialEnd, TrialTerms
from services.judgements.domain.statistics import BusinessObjective
from services.lab.benchmarks.gate_logs import PAGE
from services.lab.simulation.catalogue import GradedCatalogue, ShopQuery
from services.lab.simulation.shoppers import ClickModel, ShownProduct, shop
from services.lab.simulation.traffic import QUERIES_OF_A_SESSION
from services.rollout.domain.trials.credit import ProductAction, credit, voice
from services.rollout.domain.trials.evidence import ANYTHING, ENOUGH
from services.search.domain.draft import COINS, Pick, draft, ranks_of
from shared.generations.teams import telling
from shared.retrieval import quality
from shared.statistics.group_sequential import Plan
from shared.statistics.ratio import POWERS, interval

CHUNK = 2_000_000
"""Sessions that are drawn at a time."""
ENDS: tuple[TrialEnd, ...] = ("better", "worse", "no difference", "not enough sessions")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrialPages:
    """What a trial shows: the first pages of both generations, by query id, and who asks."""

    catalogue: GradedCatalogue
    live: quality.Rankings
    candidate: quality.Rankings
    queries: Sequence[ShopQuery]
    """Asked all alike: shoppers and graders answer the same question."""


@dataclass(frozen=True)
class SessionPool:
    """What each of many sessions said, and how much it may say (0: nothing was acted upon)."""

    scores: Floats
    voices: Floats

    @property
    def preference(self) -> float:
        """What the candidate got more than the live one, of all that shoppers acted upon."""
        return float(self.scores.sum() / self.voices.sum()) if self.voices.any() else 0.0

    def pack(self) -> bytes:
        """Return it as bytes."""
        buffer = BytesIO()
        np.savez_compressed(buffer, scores=self.scores, voices=self.voices)
        return buffer.getvalue()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read what `pack` wrote."""
        stored = np.load(BytesIO(packed))
        return cls(stored["scores"], stored["voices"])

    def null(self) -> "SessionPool":
        """Return sessions of an exactly equal pair, as noisy as these: each also with teams swapped."""
        return self.diluted(0, seed=0)

    def diluted(self, share: float, seed: int) -> "SessionPool":
        """Return sessions of a pair of which only a share of this one's effect is left, at the same noise.

        So many of the sessions come once more with teams swapped.
        """
        swapped = round(len(self.scores) * (1 - share) / (1 + share))
        chosen = np.random.default_rng(seed).permutation(len(self.scores))[:swapped]
        return SessionPool(
            np.concatenate([self.scores, -self.scores[chosen]]),
            np.concatenate([self.voices, self.voices[chosen]]),
        )


def sessions_of(pages: TrialPages, model: ClickModel, *, count: int, seed: int) -> SessionPool:
    """Simulate sessions, each of one to four queries, interleaved and credited as the live system does."""
    rng = random.Random(f"trial {seed}")  # noqa: S311 - reproducible
    weights, window = BusinessObjective().weights, timedelta(seconds=TrialTerms().window_seconds)
    scores, voices = np.zeros(count), np.zeros(count)
    for number in range(count):
        actions: list[ProductAction] = []
        for step in range(rng.choice(QUERIES_OF_A_SESSION)):
            query = rng.choice(pages.queries)
            actions += _actions(pages, query, model, rng=rng, window=window, answer=f"{number}-{step}")
        said = credit(actions, weights)
        scores[number], voices[number] = said.score, voice(said.acted)
    return SessionPool(scores, voices)


def _actions(
    pages: TrialPages,
    query: ShopQuery,
    model: ClickModel,
    *,
    rng: random.Random,
    window: timedelta,
    answer: str,
) -> list[ProductAction]:
    live, candidate = pages.live[query.id], pages.candidate[query.id]
    picks = draft(live, candidate, PAGE, coins=rng.getrandbits(COINS))
    teams = credited(picks, live, candidate)
    shown = [
        ShownProduct(product, grade, model.appeal_of(grade, f"{query.id} {product}"))
        for product, grade in (
            (pick.product_id, pages.catalogue.grade(query.id, pick.product_id)) for pick in picks
        )
    ]
    return [
        ProductAction(answer, action.product_id, action.name, teams[action.position - 1])
        for action in shop(model, shown, rng)
        if action.delay < window
    ]


def credited(picks: Sequence[Pick], live: Sequence[str], candidate: Sequence[str]) -> str:
    """Return whose each product is; what tells nothing of either is nobody's."""
    ranks = ranks_of((pick.product_id for pick in picks), live[:PAGE], candidate[:PAGE])
    return telling("".join(pick.team for pick in picks), ranks)


def ends(
    pool: SessionPool, terms: TrialTerms, *, sessions: int, trials: int, seed: int
) -> dict[TrialEnd, float]:
    """Return the share of the trials that ended in each way; each trial draws its sessions from the pool."""
    plan = Plan(terms.error, sessions)
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // sessions)
    counted = dict.fromkeys(ENDS, 0.0)
    for first in range(0, trials, at_once):
        drawn = rng.integers(0, len(pool.scores), (min(at_once, trials - first), sessions), dtype=np.int32)
        for end, count in zip(ENDS, _counted(pool, plan, drawn, equal=terms.equal), strict=True):
            counted[end] += count / trials
    return counted


def _counted(pool: SessionPool, plan: Plan, drawn: NDArray[np.int32], *, equal: float) -> list[int]:
    """Return how many of the trials, a row of sessions each, end in each of `ENDS`."""
    low, high = intervals(pool, plan, drawn)
    decided = np.stack([low > 0, high < 0, (low > -equal) & (high < equal)])
    """By end, trial and look."""
    first = np.where(decided.any(axis=2), decided.argmax(axis=2), len(plan.looks))
    earliest = first.min(axis=0)
    chosen = np.where(earliest < len(plan.looks), first.argmin(axis=0), len(ENDS) - 1)
    return [int((chosen == number).sum()) for number in range(len(ENDS))]


def intervals(pool: SessionPool, plan: Plan, drawn: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Return the bounds of the preference, a row each trial, a column each look.

    As `services.rollout.domain.trials.evidence.Evidence` has them where no shopper comes twice.
    """
    places = np.array(plan.looks) - 1
    score, says = pool.scores[drawn], pool.voices[drawn]

    def summed(values: Floats) -> Floats:
        sums: Floats = np.cumsum(values, axis=1)[:, places]
        return sums

    sums = {(up, down): summed((says > 0) * score**up * says**down) for up, down in POWERS}
    low, high = interval(sums, np.array(plan.boundaries))
    few = sums[0, 0] < ENOUGH
    return np.where(few, ANYTHING[0], np.maximum(low, ANYTHING[0])), np.where(
        few, ANYTHING[1], np.minimum(high, ANYTHING[1])
    )
