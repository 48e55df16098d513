"""What is done about a worker that ended."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.infrastructure.supervision import Backoff, RestartVerdict, decide

SHORT = timedelta(seconds=1)


def test_one_that_ended_on_purpose_is_left_alone() -> None:
    assert decide(0, uptime=SHORT, failures=3).verdict is RestartVerdict.LEAVE


def test_one_whose_configuration_is_wrong_is_given_up() -> None:
    assert decide(2, uptime=SHORT, failures=0).verdict is RestartVerdict.GIVE_UP


def test_failures_in_a_row_wait_twice_as_long_each_time_up_to_a_limit() -> None:
    waits, failures = [], 0
    for _ in range(7):
        decision = decide(1, uptime=SHORT, failures=failures)
        failures = decision.failures
        waits.append(decision.delay.total_seconds())
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_long_calm_forgives_the_past() -> None:
    assert decide(-9, uptime=timedelta(minutes=5), failures=9).delay == Backoff().first


@given(failures=st.integers(1, 10**9))
def test_the_wait_is_never_longer_than_the_limit(failures: int) -> None:
    assert Backoff().first <= Backoff().delay(failures) <= Backoff().longest
