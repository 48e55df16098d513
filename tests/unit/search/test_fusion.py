from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.search_api import Fusion
from services.search.domain import fusion as fusion_domain
from services.search.domain.candidate import ShardAnswer, merge, missing
from shared.retrieval.fusion import Tiers
from tests.unit.search.builders import candidate, report

scores = st.none() | st.floats(-1, 30, allow_nan=False).map(lambda value: round(value, 3))
candidates = st.lists(
    st.builds(
        candidate,
        product_id=st.text("abcdefgh", min_size=1, max_size=3),
        dense=scores,
        lexical=scores,
        partition=st.integers(0, 3),
        offset=st.integers(0, 9),
        epoch=st.integers(0, 2),
    ),
    max_size=30,
)
distinct = candidates.map(lambda many: list({one.product_id: one for one in many}.values()))
fusions = st.builds(Fusion, method=st.sampled_from(["weighted", "rrf"]), dense_weight=st.floats(0, 1))
modes = st.sampled_from(["dense", "lexical", "hybrid"])


def rank(found, k, *, mode, fusion, depth=50):
    return fusion_domain.rank(found, k, mode=mode, fusion=fusion, depth=depth)


def proposed(found, k, depth):
    """Return what shards propose to who wants k: each its best by vector and by words."""
    last, chosen = Tiers.of(k, depth).last, {}
    for number in {one.partition for one in found}:
        here = [one for one in found if one.partition == number]
        for score in (lambda one: one.hit.dense, lambda one: one.hit.lexical or None):
            scored = [(-score(one), one.product_id, one) for one in here if score(one) is not None]
            best = sorted(scored, key=lambda row: row[:2])[:last]
            chosen |= {product_id: one for _, product_id, one in best}
    return list(chosen.values())


@given(found=candidates, k=st.integers(1, 30), mode=st.sampled_from(["dense", "hybrid"]))
def test_what_lies_in_which_shard_changes_no_list(found, k, mode):
    found = list({one.product_id: one for one in found}.values())
    of_all = rank(found, k, mode=mode, fusion=Fusion(), depth=5)
    assert rank(proposed(found, k, 5), k, mode=mode, fusion=Fusion(), depth=5) == of_all


def ids(ranked):
    return [each.candidate.product_id for each in ranked]


def with_hit(one, **changes):
    return one._replace(hit=replace(one.hit, **changes))


def answers_of(many):
    numbers = sorted({one.partition for one in many})
    return [
        ShardAnswer(report(number), tuple(one for one in many if one.partition == number))
        for number in numbers
    ]


@given(found=candidates, rng=st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order_of_the_answers(found, rng):
    found = [with_hit(one, product_id=f"{one.product_id}{one.partition}") for one in found]
    answers = answers_of(found)
    shuffled = list(answers)
    rng.shuffle(shuffled)
    merged = merge(answers)
    assert merged == merge(shuffled)
    assert [each.product_id for each in merged] == sorted({each.product_id for each in found})


def test_of_two_owners_of_one_product_the_newer_epoch_counts():
    old = candidate("a", 0.9, epoch=1, partition=0, offset=9)
    new = candidate("a", 0.1, epoch=2, partition=1, offset=3)
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


@given(found=distinct, mode=modes, fusion=fusions, k=st.integers(1, 12), depth=st.integers(1, 6))
def test_a_longer_list_begins_with_the_shorter_one(found, mode, fusion, k, depth):
    def answer(wanted):
        return rank(proposed(found, wanted, depth), wanted, mode=mode, fusion=fusion, depth=depth)

    whole = answer(len(found) + k)
    assert answer(k) == whole[:k]
    assert len(answer(k)) == min(k, len(whole))


@given(found=distinct, fusion=fusions)
def test_a_fused_score_lies_between_nothing_and_one(found, fusion):
    whole = rank(found, len(found), mode="hybrid", fusion=fusion)
    assert all(0 <= each.score <= 1 for each in whole)


@given(found=distinct, fusion=fusions)
def test_a_product_that_is_better_in_both_ways_is_never_ranked_lower(found, fusion):
    found = [with_hit(one, dense=one.hit.dense or 0.0, lexical=one.hit.lexical or 0.0) for one in found]
    for one in found:
        for other in found:
            if one.hit.dense > other.hit.dense and max(one.hit.lexical, 0) > max(other.hit.lexical, 0):
                ranked = ids(rank(found, len(found), mode="hybrid", fusion=fusion))
                assert ranked.index(one.product_id) < ranked.index(other.product_id)


@pytest.mark.parametrize("method", ["weighted", "rrf"])
def test_a_weight_of_one_ranks_by_vector_and_of_zero_by_words(method):
    several = [candidate("a", 0.9, 1.0), candidate("b", 0.5, 9.0), candidate("c", 0.7, 5.0)]
    assert ids(rank(several, 3, mode="hybrid", fusion=Fusion(method=method, dense_weight=1))) == list("acb")
    assert ids(rank(several, 3, mode="hybrid", fusion=Fusion(method=method, dense_weight=0))) == list("bca")


def test_scores_are_scaled_over_the_candidates_of_the_query():
    ranked = rank([candidate("a", 0.8, None), candidate("b", 0.4, 10.0)], 2, mode="hybrid", fusion=Fusion())
    assert {each.candidate.product_id: each.score for each in ranked} == {"a": 0.5, "b": 0.5}
    assert ids(ranked) == ["a", "b"]


def test_reciprocal_ranks_follow_the_paper():
    ranked = rank(
        [candidate("a", 0.8, 3.0), candidate("b", 0.4, 10.0)], 2, mode="hybrid", fusion=Fusion(method="rrf")
    )
    assert ranked[0].score == pytest.approx(0.5 / 61 + 0.5 / 62)


def test_what_has_no_score_of_that_kind_is_not_an_answer_of_that_mode():
    several = [candidate("a", 0.8, None), candidate("b", None, 10.0)]
    assert ids(rank(several, 9, mode="dense", fusion=Fusion())) == ["a"]
    assert ids(rank(several, 9, mode="lexical", fusion=Fusion())) == ["b"]


def test_an_answer_lacks_the_partitions_that_did_not_answer():
    reports = [
        report(0),
        report(1, answered=False, reason="away"),
    ]
    assert missing(reports) == reports[1:]
