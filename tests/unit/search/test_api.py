"""The search API over HTTP, before real shards."""

import asyncio
import json
import re

import httpx
import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from schemas.golden import golden
from schemas.search import SearchQuery
from schemas.search_api import Problem, ProductResponse, SearchResponse, WhyResponse
from schemas.shard_api import ShardRefusal
from schemas.shard_frames import ShardCandidates, pack, unpack
from services.search.description import ROUTES
from services.search.embedding import QueryVectors
from shared.frames.protocol import FrameKind
from shared.generations.fitted import FittedParameters
from tests.unit.search.conftest import MODEL, PRODUCTS, home

RED_SHOE = {"text": "red shoe", "k": 3}


def ids(answer):
    return [hit["product_id"] for hit in answer.json()["hits"]]


@pytest.fixture
async def client(open_api):
    return await open_api()


async def test_a_search_finds_the_best_of_all_shards_and_says_where_they_lie(client):
    answer = (await client.post("/search", json=RED_SHOE)).json()
    assert answer["query_id"] == "q0"
    assert (answer["generation"], answer["mode"], answer["partial"]) == ("g1", "hybrid", False)
    assert [each["answered"] for each in answer["partitions"]] == [True, True]
    best = answer["hits"][0]
    assert (best["rank"], best["product_id"]) == (1, "p1")
    assert best["scores"]["dense"] == pytest.approx(1, abs=1e-3)
    assert best["provenance"] == {
        "generation": "g1",
        "partition": home("p1"),
        "segment": "head",
        "offset": best["provenance"]["offset"],
        "epoch": 1,
        "passage": 0,
    }
    assert best["fields"] == PRODUCTS["p1"]


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
async def test_every_mode_ranks_by_falling_score(client, mode):
    answer = await client.post("/search", json={"text": "blue sock", "mode": mode})
    scores = [hit["score"] for hit in answer.json()["hits"]]
    assert ids(answer)[0] == "p4"
    assert scores == sorted(scores, reverse=True)


async def test_filters_hold_in_every_mode(client):
    filters = [
        {"field": "price", "op": "range", "lt": 50, "gte": 5},
        {"field": "brand", "op": "in", "values": ["Acme", "Toe"]},
        {"field": "title", "op": "term", "value": "red sock"},
    ]
    for mode in ("dense", "lexical", "hybrid"):
        answer = await client.post("/search", json={"text": "red", "mode": mode, "filters": filters})
        assert ids(answer) == ["p3"]


async def test_only_the_fields_asked_for_are_returned(client):
    answer = await client.post("/search", json={**RED_SHOE, "fields": ["price", "nothing"]})
    assert next(hit["fields"] for hit in answer.json()["hits"]) == {"price": 30.0}


async def test_the_same_query_is_embedded_once(client, shop):
    before = shop.encoder.calls
    for text in ("red shoe", " red  shoe ", "red\tshoe"):
        await client.post("/search", json={"text": text})
    assert shop.encoder.calls == before + 1


async def test_a_lexical_search_needs_no_model(client, shop):
    before = shop.encoder.calls
    answer = await client.post("/search", json={"text": "sock", "mode": "lexical"})
    assert set(ids(answer)) == {"p3", "p4"}
    assert answer.json()["fingerprint"] is None
    assert shop.encoder.calls == before


async def test_a_shard_that_is_away_makes_the_answer_partial_and_is_named(client, shop):
    other = shop.shard(home("p1"), {}, name="b")  # the owner of p1's shard is now b alone
    shop.owners = [each for each in shop.owners if (each.partition, each.instance) != (home("p1"), "a")]
    shop.network.gone.add("b")
    answer = await client.post("/search", json=RED_SHOE)
    body = answer.json()
    assert (answer.status_code, body["partial"]) == (200, True)
    lost = [each for each in body["partitions"] if not each["answered"]]
    assert [each["partition"] for each in lost] == [other.partition]
    assert "connection refused" in lost[0]["reason"]
    assert "p1" not in ids(answer)


async def test_a_shard_without_an_owner_makes_the_answer_partial(client, shop):
    shop.owners = shop.owners[:1]
    body = (await client.post("/search", json=RED_SHOE)).json()
    assert body["partial"]
    assert body["partitions"][1]["reason"] == "no owner serves this partition"


async def test_one_shard_that_refuses_does_not_take_its_neighbours_with_it(client, shop):
    del shop.served["a"][1]  # the process has lost the lease, the registry does not know yet
    body = (await client.post("/search", json=RED_SHOE)).json()
    assert [each["answered"] for each in body["partitions"]] == [True, False]
    assert body["partitions"][1]["reason"].startswith("not.owner")


@pytest.mark.parametrize("trouble", ["gone", "stuck"])
async def test_a_replica_stands_in(client, shop, trouble):
    for number in range(2):
        serving = {each: PRODUCTS[each] for each in PRODUCTS if home(each) == number}
        shop.shard(number, serving, name="b")
    getattr(shop.network, trouble).add("a")
    for _ in range(2):  # whichever is asked first
        answer = await client.post("/search", json=RED_SHOE)
        assert not answer.json()["partial"]
        assert ids(answer)[0] == "p1"


async def test_a_shard_that_hangs_is_left_out_at_the_deadline(client, shop, pass_time):
    shop.shard(0, {}, name="b")
    shop.owners = [each for each in shop.owners if (each.partition, each.instance) != (0, "a")]
    shop.network.stuck.add("b")
    search = asyncio.ensure_future(client.post("/search", json={**RED_SHOE, "timeout_ms": 30_000}))
    async with shop.network.answered:
        await shop.network.answered.wait_for(lambda: shop.network.answers == 2)  # of words, of candidates
    for _ in range(50):
        await asyncio.sleep(0)  # the answer that is here is read; no time passes
    assert not search.done()
    pass_time(28)
    body = (await search).json()
    assert [each["answered"] for each in body["partitions"]] == [False, True]
    assert body["partitions"][0]["reason"] == "no answer within the time limit"


async def test_no_shard_at_all_is_an_error_not_an_empty_answer(client, shop):
    shop.network.gone.add("a")
    answer = await client.post("/search", json=RED_SHOE)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["fix"]
    assert (await client.post("/search", json={**RED_SHOE, "generation": "g2"})).status_code == 503


def answering(change):
    """Return the application with its answers changed."""

    def wrap(app):
        async def changed(scope, receive, send):
            async def send_changed(message):
                if "body" in message:
                    message = {**message, "body": change(message["body"])}
                await send({**message, "headers": []} if "headers" in message else message)

            await app(scope, receive, send_changed)

        return changed

    return wrap


class Framed:
    """A shard whose answers in frames are changed."""

    def __init__(self, frames, change):
        self._frames = frames
        self._change = change

    async def _answered(self, frame):
        kind, body = await self._frames._answered(frame)
        return kind, self._change(body) if frame.kind == FrameKind.CANDIDATES else body


@pytest.mark.parametrize("column", ["product_ids", "dense", "lexical", "passages", "parts", "offsets"])
async def test_a_shard_whose_columns_do_not_fit_is_missing_and_nothing_is_made_up(client, shop, column):
    def shorter(body):
        answer = unpack(body, ShardCandidates)
        cut = [replace(part, **{column: getattr(part, column)[:-8]}) for part in answer.partitions]
        return pack(ShardCandidates(tuple(cut)))

    shop.network.frames["a"] = Framed(shop.network.frames["a"], shorter)
    answer = await client.post("/search", json=RED_SHOE)
    assert answer.status_code == 503
    assert "answered columns of other lengths" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"\xc0", b"{}"])
async def test_a_shard_that_answers_something_else_is_missing(client, shop, body):
    shop.network.frames["a"] = Framed(shop.network.frames["a"], lambda _: body)
    answer = await client.post("/search", json=RED_SHOE)
    assert answer.status_code == 503
    assert "answered what is not in the contract" in answer.json()["detail"]


async def test_what_only_newer_shards_say_is_ignored(client, shop):
    def more(body):
        [partitions] = msgspec.msgpack.decode(body)
        return msgspec.msgpack.encode([[[*part, "added in 2031"] for part in partitions], "and more"])

    shop.network.frames["a"] = Framed(shop.network.frames["a"], more)
    assert not (await client.post("/search", json=RED_SHOE)).json()["partial"]


@pytest.mark.parametrize("path", ["/why?query=shoe&product_id=p1", "/product/p1"])
async def test_a_shard_that_speaks_otherwise_of_a_product_is_no_answer(client, shop, path):
    renamed = answering(lambda body: body.replace(b'"segment":', b'"file":'))
    shop.network.apps["a"] = renamed(shop.network.apps["a"])
    answer = await client.get(path)
    assert answer.status_code == 503
    assert "segment: Field required" in answer.json()["detail"]


@pytest.mark.parametrize("key", ["mode", "k", "filters", "partitions", "timeout_ms", "exact", "text"])
async def test_a_shard_refuses_a_question_that_calls_a_key_otherwise(shop, key):
    question = json.loads(golden("shard_api.ShardQueryRequest"))
    question = {f"{name}_2" if name == key else name: value for name, value in question.items()}
    async with httpx.AsyncClient(transport=shop.network) as network:
        answer = await network.post("http://a/query", json=question)
    assert answer.status_code == 422
    refusal = ShardRefusal.model_validate_json(answer.content)
    assert refusal.reason == "malformed"
    assert f"{key}\n  Field required" in refusal.explanation


async def test_min_offsets_that_are_not_reached_are_told_with_how_far_the_shard_is(client, shop):
    reached = shop.served["a"][0].next_offset
    body = {**RED_SHOE, "min_offsets": {"0": reached, "1": 10**6}, "timeout_ms": 500}
    answer = (await client.post("/search", json=body)).json()
    assert [each["answered"] for each in answer["partitions"]] == [True, False]
    assert answer["partitions"][1]["reason"].startswith("behind: shard 1 has applied up to")


async def test_similar_products_leave_the_product_itself_out(client):
    answer = await client.post("/similar", json={"product_id": "p1", "k": 2})
    assert ids(answer) == ["p5", "p3"] or ids(answer)[0] == "p5"
    assert "p1" not in ids(answer)
    assert len(ids(answer)) == 2
    by_text = await client.post("/similar", json={"text": "red shoe", "k": 1})
    assert ids(by_text) == ["p1"]
    assert (await client.post("/similar", json={"product_id": "p99"})).status_code == 404


async def test_why_explains_rank_and_absence(client):
    found = (await client.get("/why", params={"query": "red shoe", "product_id": "p1"})).json()
    assert found["rank"] == 1
    assert found["reasons"][-1] == "together that makes it number 1"
    absent = (await client.get("/why", params={"query": "red shoe", "product_id": "p99"})).json()
    assert absent["rank"] is None
    assert absent["reasons"][0].startswith("p99 is not in the index")


async def test_a_product_is_shown_as_the_index_has_it(client):
    answer = await client.get("/product/p1")
    assert answer.json()["fields"] == PRODUCTS["p1"]
    assert answer.json()["partition"] == home("p1")
    assert (await client.get("/product/p99")).status_code == 404
    assert (await client.get("/product/a%2Fb%3F")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "  "}, 422),
        ({"text": "x" * 3000}, 422),
        ({"text": "x", "k": 5000}, 422),
        ({"text": "x", "filters": [{"field": "a", "op": "range"}]}, 422),
        ([], 422),
    ],
)
async def test_requests_that_do_not_fit_are_refused_with_a_fix(client, body, status):
    answer = await client.post("/search", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["fix"]


@pytest.mark.parametrize(
    "raw", [b"{", b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"[" * 20_000, b'{"text":"x","k":1e999}', b""]
)
async def test_no_bytes_make_the_api_fail(client, raw):
    answer = await client.post("/search", content=raw, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.json()["fix"]


async def test_unknown_paths_are_problems_too(client):
    assert (await client.get("/nothing")).json()["status"] == 404
    assert (await client.get("/search")).status_code == 405


async def test_a_body_that_is_too_large_is_refused_declared_or_not(open_api):
    client = await open_api(max_body=1024)
    assert (await client.post("/search", content=b"x" * 2000)).status_code == 413

    async def dribble():
        for _ in range(20):
            yield b"x" * 100

    assert (await client.post("/search", content=dribble())).status_code == 413


async def test_more_requests_than_allowed_are_refused_and_the_rest_answered(open_api, shop):
    client = await open_api(concurrency=2)
    shop.network.stuck.add("a")
    waiting = [asyncio.ensure_future(client.post("/search", json=RED_SHOE)) for _ in range(2)]
    async with asyncio.timeout(60):
        while len(shop.network.asked) < 2:  # noqa: ASYNC110 - the network has no event
            await asyncio.sleep(0)
    refused = await client.post("/search", json=RED_SHOE)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (await client.get("/openapi.json")).status_code == 200
    shop.network.release.set()
    for search in waiting:
        assert (await search).status_code == 503
    shop.network.stuck.clear()
    assert (await client.post("/search", json=RED_SHOE)).status_code == 200


async def test_tokens_guard_the_search_and_not_its_description(open_api):
    client = await open_api(tokens=["secret"])
    refused = await client.post("/search", json=RED_SHOE)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    for path in ("/why?query=a&product_id=b", "/product/p1"):
        assert (await client.get(path)).status_code == 401
    assert (await client.get("/docs")).status_code == 200
    let_in = await client.post("/search", json=RED_SHOE, headers={"Authorization": "Bearer secret"})
    assert let_in.status_code == 200


async def test_the_description_is_complete_and_the_page_needs_no_network(client):
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/search", "/similar", "/why", "/product/{product_id}", "/fields", "/written",
    }  # fmt: skip
    for route in ROUTES.values():
        [operation] = document["paths"][route.path.replace(":path", "")].values()
        [(media, content)] = operation["responses"]["200"]["content"].items()
        assert media == "application/json"
        assert content["schema"]["$ref"].endswith(f"/{route.answer.__name__}")
        route.answer.model_validate(content["example"])
        assert set(operation["responses"]) == {"200", *map(str, route.problems)}
        for status in route.problems:
            [(media, content)] = operation["responses"][str(status)]["content"].items()
            assert media == "application/problem+json"
            assert content["schema"]["$ref"].endswith("/Problem")
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert set(names) <= document["components"]["schemas"].keys()
    page = (await client.get("/docs")).text
    assert "http://" not in page
    assert "https://" not in page


async def test_every_answer_is_of_its_contract_key_by_key(client):
    for answer, kind in (
        (await client.post("/search", json=RED_SHOE), SearchResponse),
        (await client.post("/similar", json={"product_id": "p1"}), SearchResponse),
        (await client.get("/why", params={"query": "shoe", "product_id": "p1"}), WhyResponse),
        (await client.get("/why", params={"query": "shoe", "product_id": "p99"}), WhyResponse),
        (await client.get("/product/p1"), ProductResponse),
    ):
        assert answer.status_code == 200
        read = kind.model_validate_json(answer.content)
        assert json.loads(read.model_dump_json()) == answer.json()
        assert read.model_fields_set == set(kind.model_fields)


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "https://evil.example", False),
        ("10.0.0.7", "http://127.0.0.1:8000", False),
        ("10.0.0.7", "https://shop.example", True),
    ],
)
async def test_a_page_of_the_shop_may_search_and_others_cannot_read_the_answer(
    open_api, shop, host, origin, allowed
):
    shop.host = host
    client = await open_api(origins=["https://shop.example"])
    asked = await client.options("/search", headers={**PREFLIGHT, "Origin": origin})
    answer = await client.post("/search", json=RED_SHOE, headers={"Origin": origin})
    assert asked.status_code == (200 if allowed else 400)
    for response in (asked, answer):
        assert response.headers.get("access-control-allow-origin") == (origin if allowed else None)


async def test_a_page_may_ask_whether_it_may_before_it_says_its_token(open_api):
    client = await open_api(tokens=["secret"], origins=["https://shop.example"])
    headers = {**PREFLIGHT, "Access-Control-Request-Headers": "authorization,content-type"}
    asked = await client.options("/search", headers={**headers, "Origin": "https://shop.example"})
    assert asked.status_code == 200
    refused = await client.post("/search", json=RED_SHOE, headers={"Origin": "https://shop.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize(
    "condition",
    [
        b'{"field":"title","op":"term","value":"\\ud800"}',
        b'{"field":"title","op":"in","values":["shoe","\\udfff shoe"]}',
        b'{"field":"title","op":"range","gt":"\\ud800"}',
        b'{"field":"title","op":"term","value":"shoe","\\ud800":1}',
        b'{"field":"\\ud800","op":"term","value":"shoe"}',
    ],
)
async def test_half_a_character_in_a_filter_is_the_callers_error(client, condition):
    body = b'{"text":"shoe","filters":[' + condition + b"]}"
    answer = await client.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["title"]) == (422, "request.invalid")
    assert answer.json()["errors"][0]["where"].startswith("filters.0")


REFUSED = {
    400: (
        "POST",
        "/search",
        {"content": b'{"text": "\xff"}', "headers": {"Content-Type": "application/json"}},
    ),
    401: ("GET", "/product/p1", {"headers": {"Authorization": "Bearer other"}}),
    404: ("GET", "/product/p99", {}),
    413: ("POST", "/similar", {"content": b"x" * 70_000}),
    422: ("GET", "/why", {"params": {"query": "shoe"}}),
    429: ("POST", "/search", {"json": RED_SHOE}),
    500: ("POST", "/search", {"json": RED_SHOE}),
    503: ("POST", "/search", {"json": {**RED_SHOE, "generation": "g9"}}),
    504: ("POST", "/search", {"json": {**RED_SHOE, "timeout_ms": 1}}),
}


async def bring_about(status, shop):
    if status == 429:
        await shop.encoders["g1"].stop()
    if status == 500:
        shop.broken = True
    if status == 504:
        shop.encoder.go_on.clear()


@pytest.mark.parametrize("status", REFUSED)
async def test_every_status_that_comes_is_a_problem_and_described(open_api, shop, status):
    client = await open_api(tokens=["secret"], cached_queries=0)
    client.headers["Authorization"] = "Bearer secret"
    method, path, content = REFUSED[status]
    await bring_about(status, shop)
    answer = await client.request(method, path, **content)
    shop.encoder.go_on.set()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert (problem.status, problem.type) == (status, f"urn:headrace:problem:{problem.title}")
    assert problem.fix
    document = (await client.get("/openapi.json")).json()
    described = document["paths"]["/product/{product_id}" if "product" in path else path][method.lower()]
    assert answer.headers.keys() >= {
        name.lower() for name in described["responses"][str(status)].get("headers", {})
    }
    assert described["security"] == [{"bearer": []}, {}]


async def test_an_old_name_of_a_field_is_refused_with_the_new_one(client):
    answer = await client.post("/search", json={**RED_SHOE, "last_stage": False})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "body: last_stage is now reranker"


async def test_every_answer_is_logged_as_a_ubi_query(client, shop):
    body = {**RED_SHOE, "session_id": "s1", "client_id": "c1", "user_id": "u1", "application": "web"}
    answer = await client.post("/search", json=body)
    await client.post("/search", json={**RED_SHOE, "log": False})
    await shop.log.stop()
    assert [each.topic for each in shop.published.messages] == ["search.queries.v1"]
    logged = SearchQuery.decode(shop.published.messages[0].value)
    assert (logged.query_id, logged.user_query, logged.application) == ("q0", "red shoe", "web")
    assert (logged.session_id, logged.client_id, logged.user_id) == ("s1", "c1", "u1")
    assert list(logged.query_response_object_ids) == ids(answer)
    assert logged.ranking.scores == tuple(hit["score"] for hit in answer.json()["hits"])
    assert (logged.ranking.generation, logged.ranking.partial) == ("g1", False)


async def test_a_broker_that_is_away_neither_slows_nor_loses_what_fits_and_counts_the_rest(open_api, shop):
    client = await open_api(log_capacity=3)
    shop.published.away = True
    for _ in range(5):
        assert (await client.post("/search", json=RED_SHOE)).status_code == 200
    assert shop.log.dropped == 2
    shop.published.away = False
    await shop.log.stop()
    assert len(shop.published.messages) == 3


async def test_an_exact_search_finds_what_the_index_finds_here(client):
    exact = await client.post("/search", json={**RED_SHOE, "exact": True, "mode": "dense"})
    assert ids(exact) == ids(await client.post("/search", json={**RED_SHOE, "mode": "dense"}))
    assert np.isfinite([hit["score"] for hit in exact.json()["hits"]]).all()


async def test_a_query_vector_of_one_model_never_reaches_the_index_of_another(client, shop):
    """Also when the registry does not say whose vectors a shard has: the shard itself refuses."""
    shop.encoder.fingerprint = "f" * 16
    shop.encoders["g1"] = QueryVectors(lambda: shop.encoder, remember=0)
    await shop.encoders["g1"].start()
    await shop.encoders["g1"]._loading
    for announced in (MODEL, None):
        shop.owners = [each.model_copy(update={"fingerprint": announced}) for each in shop.owners]
        answer = await client.post("/search", json=RED_SHOE)
        assert answer.status_code == 503
        assert "fingerprint.mismatch" in answer.json()["detail"]
    assert (await client.post("/search", json={**RED_SHOE, "mode": "lexical"})).status_code == 200
    await shop.encoders["g1"].stop()


async def test_the_weight_that_was_fitted_for_a_model_counts_unless_the_request_says_another(client, shop):
    async def scores(**asked):
        answer = await client.post("/search", json={"text": "red shoe", **asked})
        return [(hit["product_id"], hit["score"]) for hit in answer.json()["hits"]]

    plain = await scores()
    words = await scores(fusion={"method": "weighted", "dense_weight": 0.1})
    shop.fits["g1"] = FittedParameters(dense_weight=0.1)
    assert await scores() == words != plain
    assert await scores(fusion={"method": "weighted", "dense_weight": 0.5}) == plain


async def test_an_answer_is_weak_when_not_even_its_best_is_similar_enough(client, shop):
    async def weak(**asked):
        answer = await client.post("/search", json={"text": "red shoe", **asked})
        best = max(hit["scores"]["dense"] or 0 for hit in answer.json()["hits"])
        return answer.json()["weak"], best

    said, best = await weak()
    assert said is None, "nothing was fitted"
    shop.fits["g1"] = FittedParameters(threshold=best)
    assert await weak() == (False, best)
    shop.fits["g1"] = FittedParameters(threshold=best + 0.01)
    assert await weak() == (True, best)
    assert (await weak(mode="lexical"))[0] is None, "words alone have no similarity"
