from hypothesis import given
from hypothesis.strategies import booleans, floats, lists, tuples

from services.trainer.evaluation.domain.fitting import dense_weight, threshold


def f1(scored, cut):
    shown = [relevant for score, relevant in scored if score >= cut]
    return 2 * sum(shown) / max(1, len(shown) + sum(relevant for _, relevant in scored))


@given(lists(tuples(floats(-1, 1), booleans()), min_size=1, max_size=30))
def test_no_score_is_a_better_threshold(scored):
    found = threshold(scored)
    if found is None:
        assert not any(relevant for _, relevant in scored)
    else:
        assert f1(scored, found) >= max(f1(scored, score) for score, _ in scored) - 1e-9


def test_beta_says_which_error_is_worse():
    scored = [(0.9, True), (0.5, False), (0.4, False), (0.3, False), (0.2, True)]
    assert threshold(scored, beta=0.2) == 0.9
    assert threshold(scored, beta=3) == 0.2


def test_the_weight_is_the_best_one_and_a_half_when_none_is():
    assert dense_weight(lambda weight: -((weight - 0.3) ** 2)) == 0.3
    assert dense_weight(lambda _: 0.7) == 0.5
