import pytest

from shared.statistics.power import power, sessions_needed


def test_the_sessions_that_are_needed_have_the_power_that_was_asked_for():
    for gain in (0.02, 0.04):
        assert power(gain, sessions_needed(gain, error=0.05), error=0.05) == pytest.approx(0.8, abs=0.02)


def test_half_the_gain_takes_four_times_the_sessions_and_less_error_takes_more():
    assert sessions_needed(0.02, error=0.05) == pytest.approx(4 * sessions_needed(0.04, error=0.05), rel=0.01)
    assert sessions_needed(0.02, error=0.005) > sessions_needed(0.02, error=0.05)


def test_power_rises_with_sessions_and_without_a_gain_is_the_error():
    assert power(0.03, 4_000, error=0.05) < power(0.03, 16_000, error=0.05)
    assert power(0.0, 4_000, error=0.05) == pytest.approx(0.05, rel=0.01)


def test_no_gain_cannot_be_found():
    with pytest.raises(ValueError, match="above zero"):
        sessions_needed(0.0, error=0.05)
