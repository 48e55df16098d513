import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.statistics.ratio import interval, power_sums

units = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(0.2, 1)).map(lambda pair: (pair[0] * pair[1], pair[1])),
    min_size=50,
    max_size=80,
).map(lambda rows: np.array(rows).T)


@given(units, st.floats(1.5, 5))
def test_a_ratio_lies_in_its_interval_and_the_sides_change_with_the_sign(rows, boundary):
    low, high = interval(power_sums(*rows), boundary)
    assert low < rows[0].sum() / rows[1].sum() < high
    mirrored = interval(power_sums(-rows[0], rows[1]), boundary)
    assert np.allclose(mirrored, (-high, -low))


@given(units, st.floats(1.5, 4))
def test_more_confidence_takes_a_wider_interval(rows, boundary):
    low, high = interval(power_sums(*rows), np.array([boundary, boundary + 0.5]))
    assert low[0] > low[1]
    assert high[0] < high[1]


def test_with_many_units_it_is_the_usual_interval_of_a_ratio():
    rng = np.random.default_rng(1)
    down = rng.uniform(0.2, 1, 100_000)
    up = down * rng.uniform(-0.9, 1, 100_000)
    low, high = interval(power_sums(up, down), 1.96)
    ratio = up.sum() / down.sum()
    error = 1.96 * np.sqrt(((up - ratio * down) ** 2).sum()) / down.sum()
    assert (low, high) == pytest.approx((ratio - error, ratio + error), abs=0.03 * error)


@pytest.mark.parametrize("few", [0.02, 1 / 6])
def test_a_few_who_say_much_against_many_who_say_a_little_for_do_not_break_the_error(few):
    """Without transformation, and without one more against it, one trial in ten found more than nothing."""
    rng, trials = np.random.default_rng(2), 4_000
    against = rng.random((trials, 150)) < few
    scores = np.where(against, -1.0, few / (1 - few))
    low, high = interval(power_sums(scores, np.ones_like(scores)), 1.96)
    assert (low > 0).mean() < 0.025 + 3 * (0.025 * 0.975 / trials) ** 0.5
    assert (high < 0).mean() < 0.025 + 3 * (0.025 * 0.975 / trials) ** 0.5
