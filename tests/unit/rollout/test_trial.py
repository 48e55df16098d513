"""Who takes part in a trial: a function of the ids alone, in the share that was asked for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from schemas.control import TrialTerms
from shared.generations.trial import Trial, arm_of
from tests.unit.schemas.strategies import ids, short

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SESSIONS = [f"session-{number}" for number in range(20_000)]
HARDLY = 1e-6
"""The probability under which chance is not believed."""


def trial(name="trial-g2", share=0.5):
    return Trial(name=name, live="g1", candidate="g2", terms=TrialTerms(share=share), began_at=NOW)


def interleaved(of):
    arms = [arm_of(of, session_id=session, client_id=None) for session in SESSIONS]
    return [arm == "interleaved" for arm in arms]


@given(name=ids, session=short, client=st.none() | short, share=st.floats(0.01, 0.8))
def test_a_session_keeps_its_arm_whoever_the_client_and_whoever_asks(name, session, client, share):
    asked = arm_of(trial(name, share), session_id=session, client_id=client)
    assert asked == arm_of(trial(name, share), session_id=session, client_id=None)
    assert asked in {"interleaved", "rest"}


@given(name=ids, client=short)
def test_the_client_stands_in_for_a_session_and_nobody_for_neither(name, client):
    of = trial(name)
    assert arm_of(of, session_id=None, client_id=client) == arm_of(of, session_id=client, client_id=None)
    assert arm_of(of, session_id=None, client_id=None) is None
    assert arm_of(of, session_id="", client_id="") is None


@given(name=ids, session=short, share=st.floats(0.01, 0.7))
def test_whoever_is_interleaved_stays_so_when_the_share_grows(name, session, share):
    if arm_of(trial(name, share), session_id=session, client_id=None) == "interleaved":
        assert arm_of(trial(name, share + 0.1), session_id=session, client_id=None) == "interleaved"


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("name", ["trial-g2", "rollout.v1-7"])
def test_the_share_is_what_was_asked_for(name, share):
    count = sum(interleaved(trial(name, share)))
    assert binomtest(count, len(SESSIONS), share).pvalue > HARDLY


def test_two_trials_divide_the_same_sessions_independently():
    one, other = interleaved(trial("trial-a")), interleaved(trial("trial-b"))
    alike = sum(first == second for first, second in zip(one, other, strict=True))
    assert binomtest(alike, len(SESSIONS), 0.5).pvalue > HARDLY
