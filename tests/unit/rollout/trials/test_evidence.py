from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.trials import TrialSession
from services.rollout.domain.trials.credit import voice
from services.rollout.domain.trials.evidence import ANYTHING, ENOUGH, PER_CLIENT, Evidence
from shared.statistics.ratio import interval, power_sums


def session(client, score, acted):
    return TrialSession(
        trial="t",
        session="s",
        client=client,
        arm="interleaved",
        began_at=datetime(2026, 11, 29, tzinfo=UTC),
        answers=1,
        drafted=1,
        score=score,
        acted=acted,
    )


logs = st.lists(
    st.builds(session, st.sampled_from(["", "a", "b", "c"]), st.floats(-1, 1), st.integers(0, 7)),
    max_size=120,
)


def counted(log):
    """Of each client, who may be unknown, the sessions that count."""
    clients = defaultdict(list)
    for number, row in enumerate(log):
        if row.acted and len(clients[row.client or number]) < PER_CLIENT:
            clients[row.client or number].append(row)
    return [rows for rows in clients.values() if rows]


@given(logs)
def test_evidence_is_that_of_the_first_sessions_of_each_client(log):
    evidence = Evidence()
    for row in log:
        evidence.add(row)
    clients = counted(log)
    scores = np.array([sum(row.score for row in rows) for rows in clients])
    voices = np.array([sum(voice(row.acted) for row in rows) for rows in clients])
    assert (evidence.sessions, evidence.clients) == (len(log), len(clients))
    assert evidence.deciding == sum(map(len, clients))
    if clients:
        assert evidence.preference == pytest.approx(scores.sum() / voices.sum())
    if len(clients) < ENOUGH:
        assert evidence.interval(2.0) == ANYTHING
    else:
        low, high = interval(power_sums(scores, voices), 2.0)
        assert evidence.interval(2.0) == pytest.approx((max(low, ANYTHING[0]), min(high, ANYTHING[1])))


def test_one_client_who_comes_often_is_one_client():
    rng = np.random.default_rng(1)
    many, one = Evidence(), Evidence()
    for number in range(600):
        score = float(rng.choice([-1, 1]))
        many.add(session(f"c{number}", score, 5))
        one.add(session(f"c{number // PER_CLIENT}", float(number // PER_CLIENT % 2 * 2 - 1), 5))
    assert one.clients == 60
    assert np.diff(one.interval(2.0)) > 2 * np.diff(many.interval(2.0))
