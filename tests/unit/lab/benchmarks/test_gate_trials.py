"""Trials on simulated shoppers: the same decision as the live one's, thousands at a time."""

import numpy as np
import pytest

from schemas.control import TrialTerms
from schemas.trials import TrialSession
from services.lab.benchmarks.gate_trials import (
    SessionPool,
    TrialPages,
    credited,
    ends,
    intervals,
    sessions_of,
)
from services.lab.simulation import shop
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.shoppers import SHOPPERS
from services.rollout.domain.trials.credit import voice
from services.rollout.domain.trials.decision import decide
from services.search.domain.draft import Pick
from shared.statistics.group_sequential import Plan

SESSIONS = 2_000
TERMS = TrialTerms(sessions=SESSIONS)


@pytest.fixture(scope="module")
def catalogue() -> GradedCatalogue:
    return shop.sample(size=300, queries=8)


def pages(catalogue: GradedCatalogue, *, better: bool) -> TrialPages:
    """Two rankings: by grade, best first, and the other way round."""
    by_grade = {
        query.id: sorted(
            catalogue.grades[query.id], key=lambda item, q=query.id: (-catalogue.grade(q, item), item)
        )
        for query in catalogue.queries
    }
    turned = {query: row[::-1] for query, row in by_grade.items()}
    live, candidate = (turned, by_grade) if better else (by_grade, turned)
    return TrialPages(catalogue, live, candidate, catalogue.queries)


def session(number: int, score: float, acted: int) -> TrialSession:
    return TrialSession(
        trial="t",
        session=f"{number:016x}",
        arm="interleaved",
        began_at="2026-11-01T00:00:00Z",
        answers=1,
        drafted=1,
        score=score,
        acted=acted,
    )


@pytest.mark.parametrize("shift", [-0.2, 0.0, 0.05, 0.3])
def test_thousands_at_once_see_what_the_live_decision_sees(shift: float) -> None:
    rng = np.random.default_rng(3)
    acted = rng.integers(0, 8, 500) * (rng.random(500) < 0.6)
    pool = SessionPool(
        np.where(acted > 0, np.clip(rng.normal(shift, 0.5, 500), -1, 1), 0.0),
        np.array([voice(int(count)) for count in acted]),
    )
    drawn = rng.integers(0, 500, (1, SESSIONS), dtype=np.int32)
    log = [
        session(number, float(pool.scores[place]), int(acted[place])) for number, place in enumerate(drawn[0])
    ]
    low, high = intervals(pool, Plan(TERMS.error, SESSIONS), drawn)
    looks = decide(log, TERMS).looks
    assert looks
    for number, look in enumerate(looks):
        assert (look.low, look.high) == pytest.approx((low[0, number], high[0, number]))


def test_what_shoppers_clearly_prefer_is_promoted_and_what_they_do_not_is_refused() -> None:
    voices = np.ones(1000)
    rng = np.random.default_rng(1)
    for mean, end in ((0.3, "better"), (-0.3, "worse")):
        pool = SessionPool(np.clip(rng.normal(mean, 0.4, 1000), -1, 1), voices)
        assert ends(pool, TERMS, sessions=SESSIONS, trials=50, seed=1)[end] == 1


def test_an_equal_pair_is_promoted_at_most_as_often_as_stated() -> None:
    rng = np.random.default_rng(2)
    acted = rng.random(5000) < 0.6
    pool = SessionPool(np.where(acted, np.clip(rng.normal(0.1, 0.5, 5000), -1, 1), 0.0), 1.0 * acted).null()
    shares = ends(pool, TERMS, sessions=SESSIONS, trials=2_000, seed=1)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["better"] < TERMS.error + 2 * (TERMS.error * (1 - TERMS.error) / 2_000) ** 0.5


def test_of_a_diluted_pair_so_much_of_the_effect_is_left() -> None:
    pool = SessionPool(np.full(40_000, 0.4), np.ones(40_000))
    assert pool.diluted(0.25, seed=1).preference == pytest.approx(0.1, abs=0.01)
    assert pool.null().preference == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shoppers", SHOPPERS)
def test_shoppers_of_every_kind_prefer_the_better_ranking(catalogue, shoppers: str) -> None:
    better, worse = (
        sessions_of(pages(catalogue, better=is_better), SHOPPERS[shoppers], count=300, seed=1)
        for is_better in (True, False)
    )
    assert better.preference > 0.1
    assert worse.preference < -0.1


def test_the_same_ranking_twice_says_nothing(catalogue) -> None:
    alike = pages(catalogue, better=True)
    alike = TrialPages(catalogue, alike.live, alike.live, catalogue.queries)
    pool = sessions_of(alike, SHOPPERS["position-based"], count=50, seed=1)
    assert not pool.scores.any()
    assert pool.voices.any()


def test_what_both_would_show_next_is_nobodys() -> None:
    picks = [Pick("A", "x"), Pick("B", "z"), Pick("A", "y")]
    assert credited(picks, ["x", "y", "w"], ["x", "z", "w"])[0] == "-"


def test_a_pool_is_read_as_it_was_written() -> None:
    pool = SessionPool(np.array([0.5, -1.0, 0.0]), np.array([0.4, 1.0, 0.0]))
    again = SessionPool.unpack(pool.pack())
    assert np.array_equal(again.scores, pool.scores)
    assert np.array_equal(again.voices, pool.voices)
