"""Intervals, thresholds and names of figures, for any figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.domain.fitting import STEPS, dense_weight, threshold
from services.trainer.evaluation.domain.statistics import PairedDifference, paired
from services.trainer.evaluation.evaluate import Evaluated

SHARES = st.floats(0, 1, width=32)
VALUES = st.dictionaries(st.sampled_from([f"q{number}" for number in range(12)]), SHARES, min_size=1)


@given(VALUES, VALUES)
def test_a_difference_is_of_the_queries_that_both_have(live, candidate):
    difference = paired(live, candidate)
    both = live.keys() & candidate.keys()
    assert difference.count == len(both)
    if both:
        assert difference.live == pytest.approx(np.mean([live[name] for name in both]))
        assert difference.low - 1e-6 <= difference.mean <= difference.high + 1e-6


@given(VALUES, st.integers(0, 9))
def test_a_model_does_not_differ_from_itself(values, seed):
    difference = paired(values, dict(reversed(values.items())), seed=seed)
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


@given(VALUES, VALUES)
def test_the_other_way_round_it_is_the_opposite(live, candidate):
    one, other = paired(live, candidate), paired(candidate, live)
    assert one.mean == -other.mean
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-6)


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), max_size=30), st.permutations(range(30)))
def test_a_threshold_is_one_of_the_scores_whatever_their_order(scored, order):
    shuffled = [scored[place] for place in order if place < len(scored)]
    value = threshold(scored)
    assert value == threshold(shuffled)
    assert value is None or value in [score for score, _ in scored]


def test_what_scores_the_same_is_shown_together():
    assert threshold([(0.5, True), (0.5, False), (0.5, False), (0.9, False)]) == 0.5
    assert threshold([(0.9, False)]) is None


@given(st.integers(0, STEPS))
def test_the_weight_with_the_best_quality_is_found(step):
    assert dense_weight(lambda weight: -abs(weight - step / STEPS)) == step / STEPS


def test_of_weights_that_are_equal_to_six_digits_the_middle_one_is_taken():
    assert dense_weight(lambda weight: 0.5 + 1e-9 * weight) == 0.5
    assert dense_weight(lambda weight: float(weight <= 0.3)) == 0.3


def test_figures_are_called_by_measure_set_and_slice():
    def of(code, part="", candidate=0.5, measure="nDCG@10"):
        difference = PairedDifference(0.25, candidate, 0.1, 0.4, 9)
        return MetricComparison.of(
            "held_out", measure, code, difference=difference, part=part, shown=(0.875, 0.75)
        )

    evaluated = Evaluated(
        live="0" * 16,
        candidate="1" * 16,
        dimensions=8,
        products=3,
        encode_ms=1.5,
        compared=(
            of("8 fp32"),
            of("8 fp32", part="tail", candidate=0.75),
            of("4 int8", candidate=0.375),
            of("4 int8", part="tail", candidate=0.1),
        ),
    )
    assert evaluated.metrics() == {
        "nDCG@10 held_out": 0.5,
        "nDCG@10 held_out - live": 0.25,
        "nDCG@10 held_out tail": 0.75,
        "nDCG@10 held_out tail - live": 0.5,
        "nDCG@10 held_out at 4 int8": 0.375,
        "shown@10 held_out": 0.75,
        "shown@10 held_out - live": -0.125,
        "encode ms": 1.5,
    }
