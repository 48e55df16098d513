import numpy as np

from services.trainer.evaluation.domain.statistics import paired


def test_the_interval_of_a_clear_difference_is_above_zero_and_holds_the_mean():
    rng = np.random.default_rng(0)
    live = {f"q{it}": float(value) for it, value in enumerate(rng.uniform(0, 1, 200))}
    better = {name: value + float(rng.normal(0.05, 0.1)) for name, value in live.items()}
    found = paired(live, better)
    assert 0 < found.low < found.mean < found.high
    assert found.count == 200


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        live = {str(it): 0.0 for it in range(60)}
        found = paired(live, {name: float(rng.normal(0.1, 0.3)) for name in live})
        covered += found.low <= 0.1 <= found.high
    assert 180 <= covered <= 198


def test_nothing_in_common_is_no_difference():
    assert paired({"a": 1.0}, {"b": 1.0}).count == 0
