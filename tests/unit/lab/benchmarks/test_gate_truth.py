"""What a candidate is worth by human grades, and what the rule of before made of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.benchmarks.gate_today import BothValues, admits
from services.lab.benchmarks.gate_truth import TrueDifference, difference
from services.trainer.evaluation.domain.statistics import paired

QUERIES = [f"q{number}" for number in range(60)]
LIVE = {query: 0.3 + 0.005 * number for number, query in enumerate(QUERIES)}


def moved(gain: float, spread: float = 0.0) -> dict[str, float]:
    noise = np.random.default_rng(1).normal(0, spread, len(QUERIES)) if spread else np.zeros(len(QUERIES))
    return {query: LIVE[query] + gain + float(extra) for query, extra in zip(QUERIES, noise, strict=True)}


@pytest.mark.parametrize(
    ("mean", "low", "high", "worth"),
    [
        (0.012, 0.002, 0.022, "better"),
        (0.012, -0.002, 0.026, "equal"),
        (0.009, 0.002, 0.016, "equal"),
        (0.0, 0.0, 0.0, "equal"),
        (-0.02, -0.05, 0.01, "equal"),
        (-0.002, -0.003, -0.001, "worse"),
    ],
)
def test_better_is_two_percent_beyond_doubt_and_worse_is_beyond_doubt(mean, low, high, worth) -> None:
    assert TrueDifference(0.6, mean, low, high).worth == worth


def test_without_weights_it_is_the_paired_bootstrap() -> None:
    candidate = moved(0.01, 0.05)
    ours, theirs = difference(LIVE, candidate), paired(LIVE, candidate)
    assert ours == pytest.approx((theirs.live, theirs.mean, theirs.low, theirs.high))


def test_a_query_counts_as_often_as_it_is_asked() -> None:
    candidate = moved(0.0) | {"q0": LIVE["q0"] + 0.5}
    busy = difference(LIVE, candidate, {"q0": 30.0, "q1": 10.0})
    assert busy.mean == pytest.approx(0.375)
    assert busy.live == pytest.approx(0.75 * LIVE["q0"] + 0.25 * LIVE["q1"])
    assert difference(LIVE, candidate, {"q1": 3.0}).mean == 0


@given(st.floats(-0.2, 0.2), st.floats(0, 0.1))
def test_the_mean_lies_in_its_interval(gain: float, spread: float) -> None:
    true = difference(LIVE, moved(gain, spread))
    assert true.low - 1e-9 <= true.mean <= true.high + 1e-9


def both(gain: float, count: int = 60) -> BothValues:
    asked = QUERIES[:count]
    return BothValues({query: LIVE[query] for query in asked}, {query: LIVE[query] + gain for query in asked})


@pytest.mark.parametrize(
    ("sets", "admitted"),
    [
        ({"held_out": both(0.01)}, True),
        ({"held_out": both(0.0)}, False),
        ({"held_out": both(0.01), "novel_product": both(-0.03)}, False),
        ({"held_out": both(0.01), "novel_product": both(-0.01)}, True),
        ({"held_out": both(0.01), "novel_product": both(-0.03, 19)}, True),
        ({"held_out": both(0.01, 19)}, False),
        ({"novel_query": both(0.01)}, False),
    ],
)
def test_the_rule_of_before_wants_better_on_all_held_out_and_no_harm_elsewhere(sets, admitted) -> None:
    assert admits(sets) is admitted
