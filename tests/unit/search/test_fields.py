"""What products have, and filters on what none of them has."""

import pytest

from schemas.fields import FieldsResponse, FieldSummary
from schemas.filters import InFilter, RangeFilter, TermFilter
from schemas.search_api import PartitionReport, SearchResponse
from schemas.shard_api import PartitionFields
from services.search.domain.candidate import ShardAnswer
from services.search.domain.fields import explained, gathered, impossible
from tests.unit.search.conftest import PARTITIONS, PRODUCTS

RED = {"text": "red", "k": 5, "log": False}


@pytest.fixture
async def client(open_api):
    return await open_api()


async def problem(client, *filters, status=422, **options):
    answer = await client.post("/search", json={**RED, "filters": filters, **options})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_every_field_is_listed_with_its_kind_and_how_often_it_is_filled(client):
    listed = FieldsResponse.model_validate_json((await client.get("/fields")).content)
    assert (listed.generation, listed.partial, listed.documents) == ("g1", False, len(PRODUCTS))
    brand, price, title = listed.fields
    assert (brand.name, brand.products, dict(brand.kinds)) == ("brand", 6, {"text": 6})
    assert set(brand.examples) == {"Acme", "Toe"}
    assert (price.name, dict(price.kinds), price.least, price.greatest) == ("price", {"number": 6}, 4.0, 90.0)
    assert (title.name, title.too_long) == ("title", 0)


async def test_a_field_that_no_product_has_is_refused_with_the_nearest(client):
    told = await problem(client, {"op": "term", "field": "brnad", "value": "Acme"})
    assert told["title"] == "filter.impossible"
    assert told["detail"] == "no product has the field `brnad`: did you mean `brand`?"
    assert "headrace fields" in told["fix"]
    told = await problem(client, {"op": "range", "field": "Price", "lt": 5})
    assert told["detail"] == "no product has the field `Price`: did you mean `price`?"
    told = await problem(client, {"op": "term", "field": "zzz", "value": 1}, mode="lexical")
    assert told["detail"] == "no product has the field `zzz`"


async def test_a_value_of_another_kind_is_refused(client):
    told = await problem(client, {"op": "range", "field": "price", "lt": "cheap"})
    assert told["detail"] == (
        "`price` is a number in every product that has it, and the filter compares it with text"
    )
    told = await problem(client, {"op": "in", "field": "brand", "values": [1, True]})
    assert "`brand` is text in every product that has it" in told["detail"]
    assert "true or false or a number" in told["detail"]


async def test_every_wrong_filter_is_named_once_beside_right_ones(client):
    wrong = {"op": "term", "field": "color", "value": "red"}
    right = {"op": "range", "field": "price", "lt": 5}
    told = await problem(client, wrong, right, {**wrong, "value": "blue"})
    assert told["detail"] == "no product has the field `color`"


async def test_a_right_filter_that_nothing_passes_is_an_empty_answer(client):
    for condition in (
        {"op": "range", "field": "price", "gt": 1000},
        {"op": "term", "field": "brand", "value": "Nobody"},
        {"op": "in", "field": "brand", "values": []},
    ):
        answer = await client.post("/search", json={**RED, "filters": [condition]})
        assert SearchResponse.model_validate_json(answer.content).hits == ()


async def test_products_near_a_product_are_filtered_as_strictly(client):
    wrong = {"op": "term", "field": "color", "value": "red"}
    answer = await client.post("/similar", json={"product_id": "p1", "filters": [wrong]})
    assert answer.json()["title"] == "filter.impossible"


async def test_a_shard_that_is_missing_might_have_the_field(client, shop):
    shop.owners = shop.owners[:1]
    answer = await client.post("/search", json={**RED, "filters": [{"op": "term", "field": "x", "value": 1}]})
    assert SearchResponse.model_validate_json(answer.content).partial
    listed = FieldsResponse.model_validate_json((await client.get("/fields")).content)
    assert listed.partial
    assert 0 < listed.documents < len(PRODUCTS)


async def test_without_products_every_filter_is_possible(open_api, shop):
    shop.owners.clear()
    for number in range(PARTITIONS):
        shop.shard(number, {}, name=f"empty-{number}")
    client = await open_api()
    answer = await client.post("/search", json={**RED, "filters": [{"op": "term", "field": "x", "value": 1}]})
    assert SearchResponse.model_validate_json(answer.content).hits == ()
    assert (await client.get("/fields")).json()["fields"] == []


def report(number, *, answered=True):
    return PartitionReport(
        partition=number, answered=answered, owner=None, epoch=None, next_offset=None, reason=None
    )


def test_what_one_partition_has_is_possible_in_all():
    filters = (
        TermFilter(op="term", field="a", value=1),
        RangeFilter(op="range", field="b", lt=2),
        InFilter(op="in", field="c", values=("x", 1)),
    )
    here = ShardAnswer(report(0), documents=3, kinds={"a": ["number"], "b": ["text"], "c": []})
    there = ShardAnswer(report(1), documents=0, kinds={"a": [], "b": ["boolean"], "c": ["text"]})
    assert impossible(filters, [here, there]) == [filters[1]]
    assert impossible(filters, [there]) == []
    assert impossible(filters, [here, ShardAnswer(report(1, answered=False))]) == []
    assert impossible(filters, [here, ShardAnswer(report(1), documents=9)]) == [], "a product passed"


def summary(name, **values):
    filled = {"products": 1, "kinds": {}, "least": None, "greatest": None, "examples": (), "too_long": 0}
    return FieldSummary(**{"name": name, **filled, **values})


def test_partitions_add_up():
    parts = [
        PartitionFields(
            partition=number,
            documents=2,
            fields=(summary("a", kinds={"number": number + 1}, least=number, greatest=number), *more),
            unnamed=number,
        )
        for number, more in enumerate([(), (summary("b", too_long=1, examples=("x",)),)])
    ]
    (first, second), unnamed = gathered(parts)
    assert (first.products, dict(first.kinds), first.least, first.greatest) == (2, {"number": 3}, 0, 1)
    assert (second.name, second.examples, unnamed) == ("b", ("x",), 1)
    assert gathered([]) == ((), 0)


def test_a_text_that_is_too_long_for_a_filter_is_told_as_such():
    told = explained(TermFilter(op="term", field="notes", value="x"), [summary("notes", too_long=1)])
    assert told == "`notes` has texts of more than 256 characters only, which no filter can use"
