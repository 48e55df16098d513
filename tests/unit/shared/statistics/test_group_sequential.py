import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.statistics.group_sequential import Plan

errors = st.floats(0.001, 0.2)
sizes = st.none() | st.integers(50, 60_000)


@pytest.mark.parametrize("sessions", [None, 300, 5_000, 20_000])
@pytest.mark.parametrize("error", [0.002, 0.05])
def test_a_walk_without_drift_crosses_as_often_as_the_error_allows(error, sessions):
    plan = Plan(error, sessions)
    crossed = plan.crossed(0.0)
    assert np.allclose(crossed, plan.spent, rtol=0.01)
    assert crossed[-1] <= error * 1.001


@settings(max_examples=20, deadline=None)
@given(errors, sizes)
def test_looks_rise_and_the_planned_end_is_the_last(error, sessions):
    plan = Plan(error, sessions)
    assert list(plan.looks) == sorted(set(plan.looks))
    assert sessions is None or plan.looks[-1] == sessions
    assert len(plan.boundaries) == len(plan.looks)


def test_simulated_walks_cross_as_computed():
    rng, plan, trials = np.random.default_rng(3), Plan(0.05, 2_000), 20_000
    for drift in (0.0, 0.05):
        steps = np.diff([0, *plan.looks])
        walks = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), (trials, len(steps))), axis=1)
        crossed = (walks / np.sqrt(plan.looks) > plan.boundaries).any(axis=1).mean()
        computed = plan.crossed(drift)[-1]
        assert abs(crossed - computed) < 4 * math.sqrt(computed * (1 - computed) / trials)
