"""Words beside vectors, and the weight that suits a model."""

import numpy as np
import pytest

from services.trainer.evaluation.hybrid import Words, fitted_weight, ranked
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet

CORPUS = {"a": "red running shoe", "b": "blue sock", "c": "red lamp for running water", "d": "oak chair"}


def embedded(**cosines):
    rows = np.array([[cosine, (1 - cosine**2) ** 0.5] for cosine in cosines.values()], np.float32)
    axis = np.array([1, 0], np.float32)
    return EmbeddedCorpus(list(cosines), rows, {"running shoes": axis, "nothing like it": axis})


def test_words_are_found_by_their_stems_best_first():
    scores = Words(CORPUS).scores("Running shoes")
    assert scores.keys() == {"a", "c"}
    assert scores["a"] > scores["c"] > 0


@pytest.mark.parametrize("query", ["", "zebra", '"', "red AND (", "a:b:c", "\\"])
def test_a_query_of_any_text_has_an_answer(query):
    assert isinstance(Words(CORPUS).scores(query), dict)


def test_the_weight_moves_the_answer_from_words_to_vectors():
    vectors = embedded(a=0.1, b=0.9, c=0.5, d=-0.5)
    words = Words(CORPUS)
    assert ranked(vectors, "running shoes", words, weight=1.0)[:2] == ["b", "c"]
    assert ranked(vectors, "running shoes", words, weight=0.0)[:2] == ["a", "c"]
    assert ranked(vectors, "nothing like it", words, weight=1.0) == ["b", "c", "a", "d"]


def test_the_fitted_weight_follows_who_is_right():
    corpus = {"a": "blue sock", "b": "red running shoe"}
    vectors, words = embedded(a=0.9, b=-0.9), Words(corpus)
    # One scores 1 by vector, the other 1 by words; at one half they are equal, and the first id comes first.
    by_words = EvaluationSet("g", {"running shoes": {"b": 3, "a": 0}})
    by_vectors = EvaluationSet("g", {"running shoes": {"a": 3, "b": 0}})
    assert fitted_weight(vectors, by_vectors, words) == 0.5
    assert fitted_weight(vectors, by_words, words) == 0.45


def test_what_was_not_graded_does_not_move_the_weight():
    corpus = {"a": "blue sock", "b": "red running shoe", "new": "running shoe"}
    vectors, words = embedded(a=0.9, b=-0.9, new=1.0), Words(corpus)
    grades = EvaluationSet("g", {"running shoes": {"a": 3, "b": 0}})
    without = embedded(a=0.9, b=-0.9)
    for weight in (0.0, 1.0):
        ordered = [it for it in ranked(vectors, "running shoes", words, weight=weight) if it != "new"]
        assert ordered == ranked(
            without, "running shoes", Words(dict(list(corpus.items())[:2])), weight=weight
        )
    beside = fitted_weight(vectors, grades, words)
    assert beside == fitted_weight(without, grades, Words({"a": "blue sock", "b": "red running shoe"}))
