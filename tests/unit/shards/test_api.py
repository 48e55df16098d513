"""What a shard answers over HTTP: its part of a search, or a refusal that says why."""

import base64
import json

import httpx
import numpy as np
import orjson
import pytest

from schemas.golden import golden
from schemas.search_api import IndexedProduct, ProductExplanation
from schemas.shard_api import ShardQueryAnswer, ShardRefusal, VectorAnswer
from services.shards.api import MAX_BODY
from services.shards.serving import Serving
from tests.unit.search.conftest import MODEL, PRODUCTS, home, shop, vector_of

__all__ = ["shop"]


def coded(vector):
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


QUESTION = {
    "generation": "g1",
    "vector": coded(vector_of("red shoe")),
    "fingerprint": MODEL,
    "text": "red shoe",
    "mode": "hybrid",
    "filters": [],
}
QUERY = {
    **QUESTION,
    "partitions": [0, 1],
    "k": 3,
    "exact": False,
    "min_offsets": None,
    "timeout_ms": 1000,
}


@pytest.fixture
async def shard(shop):
    async with httpx.AsyncClient(transport=shop.network, base_url="http://a") as client:
        yield client


def refused(answer, status, reason):
    assert answer.status_code == status
    refusal = ShardRefusal.model_validate_json(answer.content)
    assert refusal.reason == reason
    return refusal


async def test_every_partition_that_is_asked_for_answers(shard):
    answer = ShardQueryAnswer.decode((await shard.post("/query", json=QUERY)).content)
    assert [part.partition for part in answer.partitions] == [0, 1]
    for part in answer.partitions:
        assert (part.epoch, part.fingerprint, part.next_offset) == (1, MODEL, part.documents)
        assert {home(hit.product_id) for hit in part.hits} == {part.partition}
    [best, *_] = answer.partitions[home("p1")].hits
    assert (best.product_id, best.segment, dict(best.fields)) == ("p1", "head", PRODUCTS["p1"])


async def test_the_samples_of_questions_are_understood(shard):
    for name, path in (("ShardQueryRequest", "query"), ("ExplainRequest", "explain")):
        question = {**json.loads(golden(f"shard_api.{name}")), "fingerprint": MODEL}
        answer = await shard.post(f"/{path}", json={**question, "partitions": [7], "product_id": "p1"})
        assert answer.status_code in {409, 422}, "nobody has that shard, or that many dimensions"
        assert "Field required" not in answer.text


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ({"partitions": [0, 5]}, "not.owner", "shard 5 is not served here"),
        ({"generation": "g9"}, "not.owner", "does not serve generation g9"),
        ({"fingerprint": "f" * 16}, "fingerprint.mismatch", "embedded by model ffffffffffffffff"),
        ({"min_offsets": {"0": 99}, "timeout_ms": 0}, "behind", "not 99"),
    ],
)
async def test_a_question_that_is_for_another_is_refused_with_how_far_the_shard_is(
    shard, change, reason, told
):
    refusal = refused(await shard.post("/query", json={**QUERY, **change}), 409, reason)
    assert told in refusal.explanation
    if reason == "behind":
        assert (refusal.partition, refusal.wanted, refusal.next_offset) == (0, 99, refusal.next_offset)


@pytest.mark.parametrize(
    "change",
    [
        {"vector": "no base64!"},
        {"vector": coded([1, 2])},
        {"vector": coded([])},
        {"vector": coded([float("nan")] * 5)},
        {"k": 0},
        {"partitions": [0] * 1024},
        {"mode": "magic"},
        {"filters": [{"field": "a", "op": "range"}]},
    ],
)
async def test_what_cannot_be_searched_with_is_malformed(shard, change):
    refused(await shard.post("/query", json={**QUERY, **change}), 422, "malformed")


async def test_a_body_has_its_limit_and_must_be_json(shard):
    refused(await shard.post("/query", content=b" " * (MAX_BODY + 1)), 413, "too.large")
    refused(await shard.post("/query", content=b"{"), 422, "malformed")


async def test_a_product_its_vector_and_its_place_among_all_are_told(shard):
    product = IndexedProduct.model_validate_json(
        (await shard.get("/products/p1", params={"generation": "g1"})).content
    )
    assert (product.fields, product.partition, product.segment) == (PRODUCTS["p1"], home("p1"), "head")
    vector = VectorAnswer.model_validate_json(
        (await shard.post("/similar", json={"generation": "g1", "product_id": "p1"})).content
    )
    row = np.frombuffer(base64.b64decode(vector.vector), "<f4")
    assert row == pytest.approx(vector_of("red shoe"), abs=1e-3)
    cheap = {"field": "price", "op": "range", "lt": 10}
    explained = ProductExplanation.model_validate_json(
        (await shard.post("/explain", json={**QUESTION, "product_id": "p1", "filters": [cheap]})).content
    )
    assert [condition.model_dump() for condition in explained.excluded_by] == [cheap]
    assert explained.dense.rank is None


async def test_a_product_that_is_not_there_is_not_found(shard):
    refused(await shard.get("/products/p99", params={"generation": "g1"}), 404, "not.found")
    question = {"generation": "g1", "product_id": "p99"}
    refused(await shard.post("/similar", json=question), 404, "not.found")
    refused(await shard.post("/explain", json={**QUESTION, **question}), 404, "not.found")


async def test_a_dump_has_every_product_by_id(shard):
    products = []
    for partition in (0, 1):
        dump = await shard.get("/dump", params={"generation": "g1", "partition": partition})
        lines = [orjson.loads(line) for line in dump.content.splitlines()]
        assert lines == sorted(lines, key=lambda line: line["product_id"])
        products += lines
    assert {product["product_id"]: product["fields"] for product in products} == PRODUCTS


async def test_a_shard_that_has_not_caught_up_shows_nothing(shop, shard):
    [served] = shop.served.values()
    for number, serving in served.items():
        served[number] = Serving(serving.shard, partition=number, epoch=2, start=0, target=99)
    where = {"generation": "g1", "partition": home("p1")}
    for asking in (
        shard.post("/query", json=QUERY),
        shard.get("/products/p1", params=where),
        shard.get("/dump", params=where),
    ):
        assert "of 99" in refused(await asking, 409, "behind").explanation
