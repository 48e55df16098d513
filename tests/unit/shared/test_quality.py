import pytest

from shared import quality


def test_figures_agree_with_a_calculation_by_hand():
    grades = {"q1": {"a": 3, "b": 2, "c": 0}, "q2": {"d": 3}}
    ranked = {"q1": ["b", "a", "x"]}  # q2 has no answer
    found = quality.figures(grades, ranked)
    ideal = 1 + 0.1 / 1.5849625
    assert found["nDCG@10"].mean == pytest.approx((0.1 + 1 / 1.5849625) / ideal / 2, abs=1e-6)
    assert found["R@10"].mean == pytest.approx(0.5)
    assert found["RR@10"].mean == pytest.approx(0.5)
    assert found["nDCG@10"].count == 2
    assert found["nDCG@10"].half_width > 0


def test_the_order_that_was_shown_decides():
    grades = {"q": {"a": 3}}
    first = quality.figures(grades, {"q": ["a", "z"]})
    second = quality.figures(grades, {"q": ["z", "a"]})
    assert first["RR@10"].mean == 1
    assert second["RR@10"].mean == 0.5


def test_a_grade_is_the_nearest_whole_one_half_up():
    assert [quality.whole_grade(it) for it in (0.0, 0.49, 0.5, 2.4, 2.5, 3.0)] == [0, 0, 1, 2, 3, 3]


def test_nothing_found_is_zero_everywhere():
    assert quality.figures({"q": {"a": 3}}, {})["nDCG@10"].mean == 0
