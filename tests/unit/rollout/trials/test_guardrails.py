import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.rollout.domain.trials.guardrails import Moments, above, out_of_ratio


def moments(values):
    sums = Moments()
    for value in values:
        sums.add(value)
    return sums


@given(st.lists(st.floats(-100, 100), min_size=1))
def test_moments_are_those_of_the_values(values):
    sums = moments(values)
    assert np.isclose(sums.mean, np.mean(values), atol=1e-9)
    assert np.isclose(sums.variance, np.var(values), atol=1e-6)


def test_more_is_seen_and_less_is_not():
    rng = np.random.default_rng(1)
    usual, slower = moments(rng.gamma(2, 10, 3_000)), moments(rng.gamma(2, 13, 3_000))
    assert above(slower, usual)
    assert not above(usual, slower)


def test_a_ratio_as_asked_for_is_hardly_ever_doubted_and_another_one_is():
    rng = np.random.default_rng(1)
    looked_at = range(100, 5_000, 100)
    alarms = 0
    for _ in range(300):
        walk = np.cumsum(rng.random(5_000) < 0.3)
        alarms += any(out_of_ratio(int(walk[at - 1]), at - int(walk[at - 1]), 0.3) for at in looked_at)
    assert alarms <= 2
    assert out_of_ratio(3_000, 3_400, 0.5)
