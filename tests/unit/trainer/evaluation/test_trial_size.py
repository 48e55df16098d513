import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.evaluation.domain.trial_size import WORTH_KNOWING, power, sessions_needed


@pytest.mark.parametrize(
    ("effect", "sessions", "promoted"),
    [(0.04, 5_000, 0.34), (0.04, 10_000, 0.69), (0.04, 20_000, 0.97), (0.02, 60_000, 0.89)],
)
def test_the_power_is_the_one_that_was_simulated(effect, sessions, promoted):
    assert power(effect, sessions) == pytest.approx(promoted, abs=0.02)


@given(st.floats(-1, 1), st.floats(0.1, 0.95))
def test_after_so_many_sessions_the_power_is_there(effect, wanted):
    sessions = sessions_needed(effect, power=wanted)
    looked_for = max(abs(effect), WORTH_KNOWING)
    assert power(looked_for, sessions) >= wanted - 1e-9
    assert power(looked_for, round(0.9 * sessions) - 1) < wanted, "no more than the two digits cost"


def test_what_is_better_by_more_is_found_sooner():
    assert [sessions_needed(effect) for effect in (0.0, 0.02, 0.04, 0.1)] == [48_000, 48_000, 12_000, 2_000]
