"""A judge of relevance: what it learns, from whom, and when it has to be silent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.relevance.judge import FOLDS, UNTAUGHT, UNTAUGHT_JUDGES, CrossFitted, fold, teaches_miner
from shared.relevance.learning import LEAST, JudgedPair, cross_fitted

shares = st.floats(0, 1)


def lessons(number, *, words=0.8, seed=1):
    """Return what so many queries teach: what is chosen is near and has so much of the words."""
    rng = np.random.default_rng(seed)

    def pair(cosine, of_words, *, chosen):
        said = np.clip(np.array([cosine, of_words]) + rng.normal(0, 0.15, 2), 0, 1.5)
        return JudgedPair(float(said[0]), float(said[1]), chosen=chosen, weight=1.0 if chosen else 0.5)

    def lesson():
        near = [pair(1.0, words, chosen=True) for _ in range(3)]
        return [*near, *(pair(0.45, 0.1, chosen=False) for _ in range(10))]

    return {f"query {place}": lesson() for place in range(number)}


@given(shares, shares, shares)
def test_who_is_nearer_or_has_more_words_is_not_less_likely(cosine, words, more):
    assert UNTAUGHT.likelihood(cosine + more, words) >= UNTAUGHT.likelihood(cosine, words)
    assert UNTAUGHT.likelihood(cosine, words + more) >= UNTAUGHT.likelihood(cosine, words)


def test_few_queries_teach_nothing():
    assert cross_fitted(lessons(LEAST - 1)) is None
    assert cross_fitted(lessons(LEAST)) is not None


def test_what_is_learned_tells_what_is_chosen_from_what_is_far():
    judges = cross_fitted(lessons(60))
    assert judges.queries == 60
    assert judges.pairs == 60 * 13
    assert judges.loss < judges.cosine_loss
    assert judges.whole.words > 1
    assert judges.whole.likelihood(1.0, 0.8) > 0.8
    assert judges.whole.likelihood(0.3, 0.0) < 0.05


def test_words_that_say_nothing_have_no_say():
    rng = np.random.default_rng(3)
    noise = {
        query: [pair._replace(words=float(rng.random())) for pair in row]
        for query, row in lessons(60).items()
    }
    judges = cross_fitted(noise)
    assert abs(judges.whole.words) < 0.5
    assert judges.loss <= judges.cosine_loss


def test_words_that_speak_against_what_is_chosen_have_no_say():
    against = {
        query: [pair._replace(words=1 - pair.words) for pair in row] for query, row in lessons(60).items()
    }
    assert cross_fitted(against).whole.words == 0


def test_a_query_is_judged_by_a_judge_that_did_not_learn_from_it():
    whole = lessons(60)
    judges = cross_fitted(whole)
    for query in list(whole)[:5]:
        wrong = {**whole, query: [pair._replace(chosen=not pair.chosen) for pair in whole[query]]}
        assert cross_fitted(wrong).of(query) == judges.of(query)
        assert cross_fitted(wrong).whole != judges.whole


def test_pairs_of_one_kind_leave_the_judge_untaught():
    chosen = {query: [pair for pair in row if pair.chosen] for query, row in lessons(30).items()}
    assert cross_fitted(chosen).whole == UNTAUGHT


def test_the_order_of_the_queries_does_not_matter():
    whole = lessons(40)
    shuffled = dict(sorted(whole.items(), reverse=True))
    assert cross_fitted(shuffled).is_near(cross_fitted(whole), tolerance=1e-6)


def test_a_judge_is_written_and_read_and_known_by_what_it_says():
    judges = cross_fitted(lessons(40))
    assert CrossFitted.model_validate_json(judges.model_dump_json()) == judges
    assert not judges.is_near(UNTAUGHT_JUDGES)
    assert judges.is_near(judges.model_copy(update={"queries": 80}))


@pytest.mark.parametrize("query", ["red shoe", "schuhe", "kindle", "運動靴"])
def test_halves_and_folds_are_always_the_same(query):
    assert (teaches_miner(query), fold(query)) == (teaches_miner(query), fold(query))
    assert 0 <= fold(query) < FOLDS


def test_about_half_of_the_queries_teach_the_miner_and_the_folds_are_even():
    queries = [f"query {place}" for place in range(2000)]
    of_miner = [query for query in queries if teaches_miner(query)]
    assert 900 < len(of_miner) < 1100
    sizes = np.bincount([fold(query) for query in of_miner], minlength=FOLDS)
    assert sizes.min() > 150
