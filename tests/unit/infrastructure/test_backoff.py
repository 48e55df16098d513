"""Restarts of a worker that fails: never at once, never for ever apart, and forgiven after a calm."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.infrastructure.supervision import CONFIGURATION, Backoff, RestartVerdict, decide

SECOND = timedelta(seconds=1)
spans = st.floats(0.1, 120).map(lambda seconds: timedelta(seconds=seconds))
backoffs = st.builds(
    lambda first, factor, calm: Backoff(first=first, longest=first * factor, calm=calm),
    spans,
    st.integers(1, 100),
    spans,
)
codes = st.integers(-31, 255).filter(lambda code: code not in (0, CONFIGURATION))


@given(backoffs, st.integers(1, 200))
def test_waits_grow_to_the_longest_and_stay_there(backoff, failures):
    wait, following = backoff.delay(failures), backoff.delay(failures + 1)
    assert backoff.first <= wait <= following <= backoff.longest
    assert following in (2 * wait, backoff.longest)


@given(codes, backoffs, st.integers(0, 50), spans)
def test_whatever_crashed_is_started_again_after_a_wait(code, backoff, failures, uptime):
    decision = decide(code, uptime=uptime, failures=failures, backoff=backoff)
    assert decision.verdict is RestartVerdict.RESTART
    assert decision.delay == backoff.delay(decision.failures)
    assert decision.failures == (1 if uptime >= backoff.calm else failures + 1)


@given(backoffs, st.lists(st.tuples(codes, spans), max_size=30))
def test_only_an_unbroken_row_of_failures_makes_the_wait_long(backoff, ends):
    failures, row = 0, 0
    for code, uptime in ends:
        row = 1 if uptime >= backoff.calm else row + 1
        decision = decide(code, uptime=uptime, failures=failures, backoff=backoff)
        failures = decision.failures
        assert failures == row


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, RestartVerdict.LEAVE), (CONFIGURATION, RestartVerdict.GIVE_UP)]
)
@given(failures=st.integers(0, 50), uptime=spans)
def test_what_another_start_cannot_help_is_not_started_again(code, verdict, failures, uptime):
    decision = decide(code, uptime=uptime, failures=failures)
    assert (decision.verdict, decision.delay, decision.failures) == (verdict, timedelta(0), 0)


def test_a_calm_begins_when_it_is_over():
    backoff = Backoff(calm=60 * SECOND)
    assert decide(1, uptime=59 * SECOND, failures=4, backoff=backoff).failures == 5
    assert decide(1, uptime=60 * SECOND, failures=4, backoff=backoff).failures == 1
