"""Words beside vectors: what shoppers see by a model, and the weight that suits it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.search_api import Fusion
from services.trainer.dataset.domain.dataset import ProductText
from services.trainer.evaluation.hybrid import FIT_LEAST, HybridPair, HybridSearch
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet
from services.trainer.evaluation.settings import EvaluationSettings, ShopSearch
from services.trainer.evaluation.words import Words, texts_by_id
from shared.retrieval.settings import FusionSettings, TextSettings

TITLES = {"a": "red running shoe", "b": "blue sock", "c": "red lamp for running water", "d": "oak chair"}
SHOP = ShopSearch()


def words(titles=TITLES):
    return Words({name: {"title": title} for name, title in titles.items()}, SHOP.text)


def embedded(*queries, **cosines):
    """Return the vectors of products that have these cosines to every query."""
    rows = np.array([[cosine, (1 - cosine**2) ** 0.5] for cosine in cosines.values()], np.float32)
    axis = np.array([1, 0], np.float32)
    return EmbeddedCorpus(list(cosines), rows, dict.fromkeys(("running shoes", "zebra", *queries), axis))


def search(weight=0.5, *, shop=SHOP, titles=TITLES, **cosines):
    return HybridSearch(embedded(**cosines), words(titles), shop, weight)


def found(index, query):
    return {name: score for name, score in zip(index.ids, index.scores(query), strict=True) if score}


def test_words_are_found_by_their_stems_best_first():
    scores = found(words(), "Running shoes")
    assert scores.keys() == {"a", "c"}
    assert scores["a"] > scores["c"] > 0


@pytest.mark.parametrize("query", ["", "zebra", '"', "red AND (", "a:b:c", "\\"])
def test_a_query_of_any_text_has_scores(query):
    assert words().scores(query).shape == (4,)


def test_a_word_in_the_title_weighs_more_than_one_elsewhere_as_the_settings_say():
    texts = {"other": {"bullets": "red"}, "title": {"title": "red"}}
    scores = found(Words(texts, TextSettings()), "red")
    assert scores["title"] > scores["other"]
    by_bullets = TextSettings(title_fields=("bullets",), title_weight=2)
    swapped = found(Words(texts, by_bullets), "red")
    assert swapped["other"] > swapped["title"]


def test_products_without_fields_are_found_by_what_is_embedded():
    products = [
        ProductText(product_id="old", text="red shoe"),
        ProductText(product_id="new", text="shoe", fields={"title": "shoe", "colour": "red"}),
    ]
    assert texts_by_id(products, SHOP.text) == {
        "old": {"title": "red shoe"},
        "new": {"title": "shoe", "colour": "red"},
    }


def test_the_weight_moves_the_answer_from_words_to_vectors():
    cosines = {"a": 0.1, "b": 0.9, "c": 0.5, "d": -0.5}
    assert search(1.0, **cosines).page("running shoes", 2) == ["b", "c"]
    assert search(0.0, **cosines).page("running shoes", 2) == ["a", "c"]
    assert search(1.0, **cosines).page("zebra") == ["b", "c", "a", "d"]


def test_words_and_vectors_must_be_of_the_same_products():
    with pytest.raises(ValueError, match="different products"):
        search(a=0.1, b=0.9)


def test_so_many_are_proposed_by_vector_and_by_words_and_more_where_more_are_wanted():
    titles = {f"p{number:02}": "shoe" if number > 36 else "sock" for number in range(40)}
    cosines = {name: 1 - number / 40 for number, name in enumerate(titles)}
    narrow = ShopSearch(pages=FusionSettings(depth=2))
    assert len(search(shop=narrow, titles=titles, **cosines).answer("running shoes", 1)) == 4
    assert len(search(shop=narrow, titles=titles, **cosines).page("running shoes", 30)) == 30


def test_ranks_are_fused_where_search_fuses_ranks():
    ranks = ShopSearch(pages=FusionSettings(fusion=Fusion(method="rrf")))
    titles = {"a": "shoe", "b": "shoe shoe lamp", "c": "sock"}
    best, *_ = search(shop=ranks, titles=titles, a=0.9, b=0.8, c=0.1).answer("running shoes")
    assert best.score == pytest.approx(1 / 61)


def test_what_no_shard_proposes_comes_last_by_cosine():
    titles = {f"p{number:02}": "sock" for number in range(13)} | {"p12": "shoe"}
    cosines = {name: 1 - number / 12 for number, name in enumerate(titles)}
    hybrid = search(0.4, shop=ShopSearch(pages=FusionSettings(depth=1)), titles=titles, **cosines)
    graded = EvaluationSet("g", {"running shoes": dict.fromkeys(["p01", "p10", "p11", "p12"], 1)})
    answers = hybrid.answers(graded)
    assert answers.pages["running shoes"] == ["p12", *(f"p{number:02}" for number in range(9))]
    assert answers.ordered == {"running shoes": ["p12", "p01", "p10", "p11"]}


def fit_set(right, wrong, count=FIT_LEAST):
    return EvaluationSet("validation", {f"running shoes {n}": {right: 3, wrong: 0} for n in range(count)})


def pair(grades, shop=SHOP):
    titles = {"a": "blue sock", "b": "red running shoe"}
    vectors = embedded(*grades.queries, a=0.9, b=-0.9)
    return HybridPair.of(vectors, vectors, words(titles), shop=shop, fit_set=grades)


def test_the_candidate_is_asked_with_its_own_weight_and_the_live_model_with_the_one_it_is_served_with():
    # One scores 1 by vector, the other 1 by words; at one half they are equal, and the first id comes first.
    assert pair(fit_set("a", "b")).fitted == 0.5
    served = ShopSearch(fitted_weight=0.7)
    by_words = pair(fit_set("b", "a"), served)
    assert (by_words.live.weight, by_words.candidate.weight, by_words.fitted) == (0.7, 0.45, 0.45)
    assert by_words.live.page("running shoes") == ["a", "b"]
    assert by_words.candidate.page("running shoes") == ["b", "a"]


def test_of_too_few_queries_no_weight_is_fitted_and_the_live_one_holds():
    few = pair(fit_set("b", "a", FIT_LEAST - 1), ShopSearch(fitted_weight=0.7))
    assert (few.candidate.weight, few.fitted) == (0.7, None)


def test_without_a_fitted_weight_the_live_model_is_served_with_that_of_search():
    assert ShopSearch().live_weight == 0.5
    assert ShopSearch(pages=FusionSettings(fusion=Fusion(dense_weight=0.3))).live_weight == 0.3
    assert ShopSearch(fitted_weight=0.0).live_weight == 0.0


def test_where_shoppers_search_by_vectors_alone_both_are_asked_so():
    dense = pair(fit_set("b", "a"), ShopSearch(mode="dense", fitted_weight=0.7))
    assert (dense.live.weight, dense.candidate.weight, dense.fitted) == (1.0, 1.0, 0.45)
    assert dense.candidate.page("running shoes") == ["a", "b"]


def test_what_was_not_graded_does_not_move_the_weight():
    grades = fit_set("a", "b")
    titles = {"a": "blue sock", "b": "red running shoe", "new": "running shoe"}
    vectors = embedded(*grades.queries, a=0.9, b=-0.9, new=1.0)
    beside = HybridSearch(vectors, words(titles), SHOP, 0.5).fitted_weight(grades)
    assert beside == pair(grades).fitted


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-0.875, 0.875, width=32), min_size=1),
    st.floats(0, 1),
)
def test_an_answer_has_every_product_at_most_once_best_first(cosines, weight):
    names = dict(sorted(cosines.items()))
    titles = {name: TITLES.get(name, "running") for name in names}
    answer = search(weight, titles=titles, **names).answer("running shoes")
    assert sorted(product.product_id for product in answer) == [*names], "there are fewer than are asked for"
    scores = [product.score for product in answer]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for score in scores)


def test_the_settings_of_search_and_shards_say_how_pages_are_made(monkeypatch):
    monkeypatch.setenv("HEADRACE_SEARCH__FUSION__DENSE_WEIGHT", "0.25")
    monkeypatch.setenv("HEADRACE_SEARCH__PORT", "1")
    monkeypatch.setenv("HEADRACE_SHARDS__LEXICAL__TITLE_WEIGHT", "3")
    shop = EvaluationSettings.load(partitions=7).shop_search("hybrid", fitted_weight=None)
    assert (shop.live_weight, shop.text.title_weight) == (0.25, 3)
    assert EvaluationSettings().shop_search("hybrid", fitted_weight=0.9).live_weight == 0.9
