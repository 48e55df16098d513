from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.search.domain.candidate import Candidate, Report, ShardAnswer, merge, missing
from services.search.domain.fusion import rank
from services.search.domain.request import Fusion

scores = st.none() | st.floats(-1, 30, allow_nan=False).map(lambda value: round(value, 3))
candidates = st.lists(
    st.builds(
        Candidate,
        product_id=st.text("abcdefgh", min_size=1, max_size=3),
        dense=scores,
        lexical=scores,
        partition=st.integers(0, 3),
        offset=st.integers(0, 9),
        epoch=st.integers(0, 2),
    ),
    max_size=30,
)
distinct = candidates.map(lambda found: list({each.product_id: each for each in found}.values()))
fusions = st.builds(Fusion, method=st.sampled_from(["weighted", "rrf"]), dense_weight=st.floats(0, 1))
modes = st.sampled_from(["dense", "lexical", "hybrid"])


def found(product_id, dense=None, lexical=None):
    return Candidate(product_id=product_id, dense=dense, lexical=lexical)


def ids(ranked):
    return [each.candidate.product_id for each in ranked]


def answers_of(found):
    numbers = sorted({each.partition for each in found})
    return [
        ShardAnswer(Report(partition=number, answered=True), tuple(e for e in found if e.partition == number))
        for number in numbers
    ]


@given(found=candidates, rng=st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order_of_the_answers(found, rng):
    found = [replace(each, product_id=f"{each.product_id}{each.partition}") for each in found]
    answers = answers_of(found)
    shuffled = list(answers)
    rng.shuffle(shuffled)
    merged = merge(answers)
    assert merged == merge(shuffled)
    assert [each.product_id for each in merged] == sorted({each.product_id for each in found})


def test_of_two_owners_of_one_product_the_newer_epoch_counts():
    old = Candidate(product_id="a", dense=0.9, epoch=1, partition=0, offset=9)
    new = Candidate(product_id="a", dense=0.1, epoch=2, partition=1, offset=3)
    assert merge(answers_of([old, new])) == [new]


@given(
    found=distinct, k=st.integers(1, 40), mode=modes, fusion=fusions, rng=st.randoms(use_true_random=False)
)
def test_ranking_does_not_depend_on_the_order_of_the_candidates(found, k, mode, fusion, rng):
    shuffled = list(found)
    rng.shuffle(shuffled)
    ranked = rank(found, k, mode=mode, fusion=fusion)
    assert ranked == rank(shuffled, k, mode=mode, fusion=fusion)
    assert len(ranked) <= k
    assert [each.score for each in ranked] == sorted((each.score for each in ranked), reverse=True)


@given(found=distinct, fusion=fusions)
def test_the_first_k_are_the_beginning_of_all(found, fusion):
    whole = rank(found, len(found), mode="hybrid", fusion=fusion)
    assert rank(found, 3, mode="hybrid", fusion=fusion) == whole[:3]
    assert all(0 <= each.score <= 1 for each in whole)


@given(found=distinct, fusion=fusions)
def test_a_product_that_is_better_in_both_ways_is_never_ranked_lower(found, fusion):
    found = [replace(each, dense=each.dense or 0.0, lexical=each.lexical or 0.0) for each in found]
    for one in found:
        for other in found:
            if one.dense > other.dense and max(one.lexical, 0) > max(other.lexical, 0):
                ranked = ids(rank(found, len(found), mode="hybrid", fusion=fusion))
                assert ranked.index(one.product_id) < ranked.index(other.product_id)


@pytest.mark.parametrize("method", ["weighted", "rrf"])
def test_a_weight_of_one_ranks_by_vector_and_of_zero_by_words(method):
    found_ = [found("a", 0.9, 1.0), found("b", 0.5, 9.0), found("c", 0.7, 5.0)]
    assert ids(rank(found_, 3, mode="hybrid", fusion=Fusion(method=method, dense_weight=1))) == list("acb")
    assert ids(rank(found_, 3, mode="hybrid", fusion=Fusion(method=method, dense_weight=0))) == list("bca")


def test_scores_are_scaled_over_the_candidates_of_the_query():
    ranked = rank([found("a", 0.8, None), found("b", 0.4, 10.0)], 2, mode="hybrid", fusion=Fusion())
    assert {each.candidate.product_id: each.score for each in ranked} == {"a": 0.5, "b": 0.5}
    assert ids(ranked) == ["a", "b"]


def test_reciprocal_ranks_follow_the_paper():
    ranked = rank(
        [found("a", 0.8, 3.0), found("b", 0.4, 10.0)], 2, mode="hybrid", fusion=Fusion(method="rrf")
    )
    assert ranked[0].score == pytest.approx(0.5 / 61 + 0.5 / 62)


def test_what_has_no_score_of_that_kind_is_not_an_answer_of_that_mode():
    found_ = [found("a", 0.8, None), found("b", None, 10.0)]
    assert ids(rank(found_, 9, mode="dense", fusion=Fusion())) == ["a"]
    assert ids(rank(found_, 9, mode="lexical", fusion=Fusion())) == ["b"]


def test_an_answer_lacks_the_partitions_that_did_not_answer():
    reports = [Report(partition=0, answered=True), Report(partition=1, answered=False, reason="away")]
    assert missing(reports) == reports[1:]
