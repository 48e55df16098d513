"""What two first pages may be worth, for any pages and grades."""

from itertools import product as cross

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.evaluation.domain.bounds import completions
from shared.retrieval import quality

PRODUCTS = [f"p{number:02}" for number in range(24)]
GRADE = st.integers(0, 3)
PAGE = st.lists(st.sampled_from(PRODUCTS), unique=True, max_size=10)
GRADES = st.dictionaries(st.sampled_from(PRODUCTS), GRADE)


def ndcg(grades, page):
    return quality.values({"q": grades}, {"q": page}, ["nDCG@10"])["nDCG@10"]["q"] if grades else 0.0


def difference(grades, live, candidate):
    return ndcg(grades, candidate) - ndcg(grades, live)


@given(live=PAGE, candidate=PAGE, grades=GRADES, data=st.data())
def test_every_way_to_grade_the_rest_lies_within_the_bounds(live, candidate, grades, data):
    unknown = sorted({*live, *candidate} - grades.keys())
    rest = data.draw(st.lists(GRADE, min_size=len(unknown), max_size=len(unknown)))
    worst, best = completions(live, candidate, grades)
    whole = grades | dict(zip(unknown, rest, strict=True))
    assert worst.difference - 1e-9 <= difference(whole, live, candidate) <= best.difference + 1e-9


@given(live=PAGE, candidate=PAGE, grades=GRADES)
def test_what_counts_the_ungraded_as_wrong_lies_within_the_bounds(live, candidate, grades):
    worst, best = completions(live, candidate, grades)
    assert worst.difference - 1e-9 <= difference(grades, live, candidate) <= best.difference + 1e-9


FEW = st.lists(st.sampled_from(PRODUCTS[:5]), unique=True, max_size=4)


@given(live=FEW, candidate=FEW, grades=st.dictionaries(st.sampled_from(PRODUCTS[:5]), GRADE))
def test_the_bounds_are_reached(live, candidate, grades):
    unknown = sorted({*live, *candidate} - grades.keys())
    differences = [
        difference(grades | dict(zip(unknown, rest, strict=True)), live, candidate)
        for rest in cross(range(4), repeat=len(unknown))
    ]
    worst, best = completions(live, candidate, grades)
    assert worst.difference == pytest.approx(min(differences), abs=1e-9)
    assert best.difference == pytest.approx(max(differences), abs=1e-9)


@given(live=PAGE, candidate=PAGE, rest=st.lists(GRADE, min_size=24, max_size=24))
def test_when_everything_is_graded_both_bounds_are_the_figure_itself(live, candidate, rest):
    grades = dict(zip(PRODUCTS, rest, strict=True))
    for completion in completions(live, candidate, grades):
        assert completion.live == pytest.approx(ndcg(grades, live), abs=1e-9)
        assert completion.candidate == pytest.approx(ndcg(grades, candidate), abs=1e-9)


@given(page=PAGE, grades=GRADES)
def test_two_equal_pages_differ_whatever_is_unknown_by_nothing(page, grades):
    assert [it.difference for it in completions(page, page, grades)] == [0, 0]


@given(live=PAGE, candidate=PAGE, grades=GRADES)
def test_the_other_way_round_the_worst_is_the_best(live, candidate, grades):
    worst, best = completions(live, candidate, grades)
    other_worst, other_best = completions(candidate, live, grades)
    assert worst.difference == pytest.approx(-other_best.difference, abs=1e-9)
    assert best.difference == pytest.approx(-other_worst.difference, abs=1e-9)


@given(live=PAGE, candidate=PAGE, grades=GRADES, known=st.sampled_from(PRODUCTS), grade=GRADE)
def test_a_grade_that_becomes_known_narrows_the_bounds(live, candidate, grades, known, grade):
    if known not in {*live, *candidate} or known in grades:
        return
    worst, best = completions(live, candidate, grades)
    then_worst, then_best = completions(live, candidate, grades | {known: grade})
    assert worst.difference - 1e-9 <= then_worst.difference
    assert then_best.difference <= best.difference + 1e-9
