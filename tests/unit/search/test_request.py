import pytest
from pydantic import SecretStr, ValidationError

from schemas.filters import RangeFilter
from schemas.search_api import ProductExplanation, ScoreAndRank, SearchRequest, SimilarRequest
from services.search.domain.explanation import explain
from services.search.domain.query import clean
from shared.http.gate import authorised


@pytest.mark.parametrize("name", ["text", "query", "user_query"])
def test_the_text_goes_by_three_names(name):
    assert SearchRequest.model_validate({name: "red shoes"}).text == "red shoes"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "x" * 2049},
        {"text": "x", "k": 0},
        {"text": "x", "k": 1001},
        {"text": "x", "mode": "magic"},
        {"text": "x", "kk": 3},
        {"text": "x", "filters": [{"field": "price", "op": "range"}]},
        {"text": "x", "filters": [{"field": "price", "op": "range", "gte": 1, "lt": "z"}]},
        {"text": "x", "filters": [{"field": "price", "op": "term", "value": 1, "lt": 2}]},
        {"text": "x", "filters": [{"field": "price", "op": "range", "lt": float("nan")}]},
        {"text": "x", "fusion": {"method": "weighted", "dense_weight": 1.1}},
        {"text": "x", "generation": "../g1"},
        {"text": "x", "session_id": "\ud800"},
    ],
)
def test_what_does_not_fit_is_refused(body):
    with pytest.raises(ValidationError):
        SearchRequest.model_validate(body)


def test_a_field_that_has_another_name_now_is_refused_with_it():
    with pytest.raises(ValidationError, match="last_stage is now reranker"):
        SearchRequest.model_validate({"text": "x", "last_stage": False})


def test_similar_wants_a_product_or_a_text():
    for body in ({}, {"product_id": "a", "text": "b"}, {"text": " "}):
        with pytest.raises(ValidationError):
            SimilarRequest.model_validate(body)


def test_a_query_is_cleaned_of_control_characters_and_lone_surrogates():
    assert clean(" red\t\x00 shoes\ud800\u2028 ") == "red shoes"
    assert clean("Größe 43 – 東京") == "Größe 43 – 東京"


def test_only_the_right_bearer_token_is_let_in():
    tokens = (SecretStr("one"), SecretStr("zwölf"))
    assert authorised("Bearer one", tokens)
    assert authorised("bearer zwölf", tokens)
    assert authorised("", ())
    for header in ("", "one", "Basic one", "Bearer", "Bearer ", "Bearer onetwo"):
        assert not authorised(header, tokens)


def test_reasons_are_given_in_words():
    shard = ProductExplanation(
        product_id="p1",
        partition=0,
        documents=9,
        segment="head",
        offset=3,
        dense=ScoreAndRank(score=0.71234, rank=4),
        lexical=ScoreAndRank(score=None, rank=None),
        excluded_by=(RangeFilter(field="price", op="range", lt=20),),
    )
    reasons = explain("p1", shard, rank=None, depth=10)
    assert reasons == [
        "the filter on price (range {'lt': 20}) leaves it out",
        "by vector it scores 0.7123, number 4 in its shard",
        "by words it is not found",
    ]
    assert explain("p1", None, rank=None, depth=10)[0].startswith("p1 is not in the index")
