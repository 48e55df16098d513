import pytest

from shared.statistics.power import power, sessions_needed, sessions_to_decide


def test_the_sessions_that_are_needed_have_the_power_that_was_asked_for():
    for gain in (0.02, 0.04):
        assert power(gain, sessions_needed(gain)) == pytest.approx(0.8, abs=0.02)


def test_half_the_gain_takes_four_times_the_sessions_and_less_error_takes_more():
    assert sessions_needed(0.02) == pytest.approx(4 * sessions_needed(0.04), rel=0.01)
    assert sessions_needed(-0.02) == sessions_needed(0.02)
    assert sessions_needed(0.02, error=0.005) > sessions_needed(0.02)
    assert sessions_needed(0.02, apart=0.3) < sessions_needed(0.02)


def test_power_rises_with_sessions_and_gain_and_without_a_gain_is_the_error():
    assert power(0.03, 4_000) < power(0.03, 16_000) < power(0.04, 16_000)
    assert power(0.0, 4_000, error=0.05) == pytest.approx(0.05, rel=0.01)


def test_no_gain_cannot_be_found():
    with pytest.raises(ValueError, match="a gain or a loss"):
        sessions_needed(0.0)


def test_more_sessions_are_needed_where_less_can_be_told():
    def needed(preference):
        return sessions_to_decide(preference, 0.5, equal=0.02, error=0.05)

    assert needed(0.05) < needed(0.03) < needed(0.01)
    assert needed(0.01) > needed(0.0)
