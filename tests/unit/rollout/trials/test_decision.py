from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from schemas.control import TrialTerms
from schemas.trials import TrialSession
from services.rollout.domain.trials.decision import TrialLog, decide

TERMS = TrialTerms(sessions=4_000)
BEGAN = datetime(2026, 11, 29, tzinfo=UTC)


def session(number, *, arm="interleaved", score=0.0, acted=1, **fields):
    drafted = int(arm == "interleaved")
    return TrialSession(
        **{
            "trial": "t",
            "session": f"{number:016x}",
            "client": f"{number:016x}",
            "arm": arm,
            "began_at": BEGAN,
            "answers": 1,
            "drafted": drafted,
            "score": score,
            "acted": acted,
            "places": (5 * drafted, 5 * drafted),
        }
        | fields
    )


def sessions(count=8_000, *, preference=0.0, seed=1, **fields):
    """Half of them interleaved, a score each of -1, 0 or 1."""
    rng = np.random.default_rng(seed)
    chances = [0.2 - preference / 2, 0.6, 0.2 + preference / 2]
    for number in range(count):
        arm = "interleaved" if rng.random() < 0.5 else "rest"
        score = float(rng.choice([-1, 0, 1], p=chances))
        yield session(number, arm=arm, score=score if arm == "interleaved" else 0.0, **fields)


@pytest.mark.parametrize(
    ("preference", "end"), [(0.15, "better"), (-0.15, "worse"), (0.005, "not enough sessions")]
)
def test_what_shoppers_prefer_decides(preference, end):
    state = decide(sessions(9_000, preference=preference), TERMS)
    assert state.end == end
    assert (state.more is not None) == (end == "not enough sessions")


def test_two_rankings_that_nobody_can_tell_apart_are_no_different():
    rows = [session(number, arm="interleaved" if number % 2 else "rest") for number in range(6_000)]
    assert decide(rows, TERMS).end == "no difference"


def test_the_state_is_that_of_the_log_however_often_one_asks_and_sessions_repeat():
    rows = list(sessions(6_000, preference=0.05))
    log = TrialLog(TERMS)
    states = []
    for row in rows:
        log.add(row)
        log.add(row)
        states.append(log.state())
    for length in (1, 700, 3_000, 6_000):
        assert decide(rows[:length], TERMS) == states[length - 1]


def test_of_two_of_one_session_the_first_counts():
    rows = list(sessions(6_000, preference=0.05))
    changed = [row.model_copy(update={"score": -1.0}) for row in rows]
    assert decide([*rows, *changed], TERMS) == decide(rows, TERMS)


def test_nothing_changes_a_trial_that_has_ended():
    rows = list(sessions(9_000, preference=0.15))
    state = decide(rows, TERMS)
    later = [session(100_000 + number, score=-1.0) for number in range(3_000)]
    assert decide([*rows, *later], TERMS) == state
    assert state.looks[-1].sessions < 4_000


def test_when_no_more_sessions_come_it_ends_in_any_case():
    rows = list(sessions(1_000, preference=0.05))
    assert decide(rows, TERMS).end is None
    assert decide(rows, TERMS, over=True).end == "not enough sessions"
    assert decide([], TERMS, over=True).end == "not enough sessions"


def test_a_heavy_shopper_does_not_decide():
    heavy = sessions(3_000, seed=2, client="c" * 16)
    loyal = (
        row.model_copy(update={"session": f"heavy{number}", "score": 1.0}) for number, row in enumerate(heavy)
    )
    mixed = [row for pair in zip(sessions(3_000), loyal, strict=True) for row in pair]
    state = decide(mixed, TERMS)
    assert state.end is None
    assert state.looks[-1].deciding < 0.6 * state.looks[-1].sessions


def test_sessions_out_of_the_ratio_void_it():
    rows = [row for number, row in enumerate(sessions(9_000)) if row.arm == "interleaved" or number % 2]
    state = decide(rows, TERMS)
    assert state.end == "void"
    assert "asked for" in state.reason


def test_unequal_places_void_it():
    state = decide(sessions(9_000, places=(6, 5)), TERMS)
    assert state.end == "void"
    assert "unequal places" in state.reason


def test_more_abandoned_sessions_than_in_the_rest_refuse_it():
    rng = np.random.default_rng(2)
    rows = [
        row.model_copy(update={"acted": int(rng.random() < (0.6 if row.arm == "rest" else 0.4))})
        for row in sessions(9_000)
    ]
    state = decide(rows, TERMS)
    assert state.end == "worse"
    assert "abandoned" in state.reason


def test_a_candidate_that_finds_nothing_more_often_is_refused():
    rng = np.random.default_rng(2)
    rows = [row.model_copy(update={"empty": (0, int(rng.random() < 0.05))}) for row in sessions(9_000)]
    state = decide(rows, TERMS)
    assert state.end == "worse"
    assert "finds nothing" in state.reason


def test_a_session_that_was_not_drafted_is_no_evidence():
    rows = [row.model_copy(update={"drafted": 0, "score": 1.0}) for row in sessions(6_000)]
    assert decide(rows, TERMS).looks == ()


def test_a_candidate_that_takes_more_than_twice_as_long_is_refused():
    assert decide(sessions(2_000, took_ms=(20.0, 50.0)), TERMS).end == "worse"
    assert decide(sessions(2_000, took_ms=(20.0, 30.0)), TERMS).end is None


def dropped(share, count=6_000, seed=3):
    """Sessions of three searches each, of which the candidate lacks a share."""
    rng = np.random.default_rng(seed)
    for row in sessions(count):
        tried = row.arm == "interleaved"
        drafted = int(sum(rng.random(3) >= share)) if tried else 0
        yield row.model_copy(update={"answers": 3, "drafted": drafted})


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_candidate_that_is_late_too_often_is_refused(share):
    state = decide(dropped(share), TERMS)
    assert state.end == "worse"
    assert "in time and whole, and 80% are needed" in state.reason
    assert state.drafted / state.answers == pytest.approx(1 - share, abs=0.1)


def test_one_that_never_answers_is_refused_though_no_look_ever_comes():
    state = decide(dropped(1.0), TERMS)
    assert (state.looks, state.drafted) == ((), 0)
    assert state.interleaved < 400


def test_one_that_is_late_now_and_then_goes_on():
    assert decide(dropped(0.15), TERMS).end != "worse"
    assert decide(dropped(0.2, 3_000, seed=4), TrialTerms()).end is None


def test_trials_of_equal_rankings_promote_and_refuse_as_seldom_as_stated():
    rng, terms, trials = np.random.default_rng(11), TrialTerms(sessions=800, error=0.05), 200
    pool = list(sessions(1_800))
    other = [row.model_copy(update={"score": -row.score}) for row in pool]
    ends = Counter()
    for _ in range(trials):
        coins = rng.random(len(pool)) < 0.5
        rows = [(other if coins[number] else pool)[number] for number in rng.permutation(len(pool))]
        ends[decide(rows, terms).end] += 1
    most = trials * 0.05 + 3 * (trials * 0.05 * 0.95) ** 0.5
    assert ends["better"] < most
    assert ends["worse"] < most
    assert ends["better"] + ends["worse"] > 0
    assert ends["void"] == 0
