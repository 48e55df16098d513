"""What goes out is what the contract says, though no model of it is made on the way."""

import json

import pytest

from schemas.search_api import SearchResponse
from services.search.domain.answer import SearchAnswer
from services.search.domain.fusion import RankedCandidate
from tests.unit.search.builders import candidate, report

DOCUMENT = b'{"title":"caf\\u00e9 \\"au lait\\"","price":3.0,"tags":["a",null],"big":9223372036854775807}'


def answer(**changes):
    hits = [candidate("p1", 0.25, None, epoch=3), candidate("p2", None, 7.5, partition=1, offset=9)]
    return SearchAnswer(
        **{
            "query_id": "q1",
            "generation": "g1",
            "fingerprint": None,
            "mode": "hybrid",
            "reports": [report(0), report(1, answered=False, reason="late")],
            "ranked": [
                RankedCandidate(hits[0]._replace(document=DOCUMENT), 0.5, reranker=1.5),
                RankedCandidate(hits[1], 0.25),
            ],
            **changes,
        }
    )


def every_key(model):
    """Say that every field was there, however deep."""
    if isinstance(model, tuple | list):
        return all(map(every_key, model))
    if not hasattr(model, "model_fields_set"):
        return True
    names = type(model).model_fields
    return model.model_fields_set == names.keys() and all(every_key(getattr(model, name)) for name in names)


@pytest.mark.parametrize("changes", [{}, {"ranked": []}, {"threshold": 0.5}, {"reranker": "applied"}])
def test_the_body_of_an_answer_is_what_the_contract_says(changes):
    body = answer(**changes).body(took_ms=1.23456, fields=None)
    response = SearchResponse.model_validate_json(body)
    assert every_key(response)
    assert response.model_dump(mode="json") == json.loads(body)
    assert response.took_ms == 1.235


def test_what_a_product_says_goes_out_as_its_shard_gave_it():
    body = answer().body(took_ms=1, fields=None)
    assert DOCUMENT in body


def test_attributes_that_are_asked_for_are_those_that_come():
    body = answer().body(took_ms=1, fields=("price", "title", "no such"))
    [first, second] = SearchResponse.model_validate_json(body).hits
    assert (list(first.fields), first.fields["title"]) == (["price", "title"], 'café "au lait"')
    assert second.fields == {}
