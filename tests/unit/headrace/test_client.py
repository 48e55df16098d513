"""The client, waiting or not, keeps its promises before the real API."""

import asyncio
import subprocess
import sys
from datetime import timedelta

import httpx
import pytest

from headrace.search_api import (
    AsyncSearchClient,
    SearchClient,
    SearchOptions,
    SearchRefusedError,
    SearchUnavailableError,
    SimilarOptions,
)
from schemas.golden import golden
from schemas.search_api import SearchRequest, SimilarRequest
from shared.errors import ConfigurationError
from shared.process.http import HttpServer
from tests.unit.search.conftest import PRODUCTS, home


class InAThread:
    """The waiting client, asked from a thread so that the loop behind the API goes on."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)

        async def asked(*arguments, **options):
            return await asyncio.to_thread(method, *arguments, **options)

        return asked


@pytest.fixture(params=["waiting", "async"])
async def open_client(request, open_api, shop):
    """Return a function that opens the API with settings, and gives a client of it."""
    closing = []

    async def open_client(*, token="", **settings):
        await open_api(**settings)
        server = HttpServer(shop.app, host="127.0.0.1", port=0)
        await server.start()
        if request.param == "async":
            client = AsyncSearchClient(server.url, token=token)
        else:
            client = InAThread(SearchClient(server.url, token=token))
        closing.extend([server.stop, client.close])
        return client

    yield open_client
    for close in reversed(closing):
        await close()


@pytest.fixture
async def client(open_client):
    return await open_client()


async def test_a_search_is_answered_with_its_hits(client):
    answer = await client.search("red shoe", k=2, mode="dense", fields=("price",), log=False)
    assert [(hit.rank, hit.product_id) for hit in answer.hits] == [(1, "p1"), (2, "p5")]
    assert answer.hits[0].fields == {"price": 30.0}
    assert answer.hits[0].provenance.partition == home("p1")
    assert not answer.partial


async def test_filters_are_models_or_what_makes_them(client):
    cheap = {"field": "price", "op": "range", "lt": 5}
    answer = await client.search("sock", filters=[cheap])
    assert [hit.product_id for hit in answer.hits] == ["p4"]
    again = await client.search("sock", filters=SearchRequest(text="x", filters=[cheap]).filters)
    assert [hit.product_id for hit in again.hits] == ["p4"]


async def test_similar_products_are_found_by_product_and_by_text(client):
    assert "p1" not in {hit.product_id for hit in (await client.similar("p1", k=3)).hits}
    assert (await client.similar(text="blue sock", k=1)).hits[0].product_id == "p4"
    assert await client.similar("p99") is None


async def test_a_rank_is_explained(client):
    why = await client.why("red shoe", "p1", mode="dense", generation="g1", depth=3)
    assert (why.rank, why.shard.dense.rank) == (1, 1)
    assert (await client.why("red shoe", "p99")).shard is None


async def test_a_product_is_shown_and_one_that_is_not_there_is_none(client):
    assert (await client.product("p1")).fields == PRODUCTS["p1"]
    assert await client.product("p99", generation="g1") is None
    assert await client.product("a/b?c=d#e") is None


async def test_any_product_id_is_a_product_id(client, shop):
    strange = ("..", ".", "a/../b", "100%", "a+b&c", "%2e%2e")
    for product_id in strange:
        assert await client.product(product_id) is None
    place = home("..")
    shop.owners = [owner for owner in shop.owners if owner.partition != place]
    shop.shard(place, {product_id: {"title": "dots"} for product_id in strange}, name="b")
    found = [product_id for product_id in strange if home(product_id) == place]
    for product_id in found:
        assert (await client.product(product_id)).product_id == product_id


@pytest.mark.parametrize(
    ("text", "options", "reason", "told"),
    [
        (" ", {}, "query.empty", "an empty query finds nothing"),
        ("x", {"k": 5000}, "request.invalid", "k: "),
        ("x" * 3000, {}, "request.invalid", "text: "),
        ("x", {"last_stage": False}, "request.invalid", "last_stage is now reranker"),
        ("x", {"mode": "magic"}, "request.invalid", "mode: "),
    ],
)
async def test_what_is_no_request_is_refused_with_its_reason_and_a_fix(client, text, options, reason, told):
    with pytest.raises(SearchRefusedError, match=told) as refused:
        await client.search(text, **options)
    assert (refused.value.status, refused.value.reason) == (422, reason)
    assert refused.value.fix in str(refused.value)


async def test_without_the_token_it_is_refused_and_with_it_let_in(open_client):
    with pytest.raises(SearchRefusedError, match="Authorization: Bearer TOKEN") as refused:
        await (await open_client(tokens=["secret"])).product("p1")
    assert (refused.value.status, refused.value.reason) == (401, "token.missing")
    client = await open_client(tokens=["secret"], token="secret")  # noqa: S106 - it is none
    assert (await client.product("p1")).product_id == "p1"


async def test_an_index_that_is_away_may_be_asked_again(client, shop):
    shop.network.gone.add("a")
    for asked in (client.search("red shoe"), client.product("p1"), client.why("red", "p1")):
        with pytest.raises(SearchUnavailableError, match="connection refused") as away:
            await asked
        assert (away.value.status, away.value.reason) == (503, "index.unavailable")


async def test_a_failure_of_the_service_may_be_asked_again(client, shop):
    shop.broken = True
    with pytest.raises(SearchUnavailableError) as failed:
        await client.search("red shoe")
    assert (failed.value.status, failed.value.reason) == (500, "internal")


class Answering(httpx.BaseTransport):
    """Whatever else may listen where a search API is looked for."""

    def __init__(self, answer):
        self._answer = answer

    def handle_request(self, request):
        return self._answer


def clients_before(answer):
    return SearchClient("http://search", transport=Answering(answer))


def test_a_key_of_tomorrow_is_ignored_and_a_renamed_one_is_an_error():
    sample = golden("search_api.SearchResponse")
    newer = clients_before(httpx.Response(200, content=b'{"added_in_2031": 1, ' + sample.lstrip()[1:]))
    assert newer.search("shoes").hits[0].product_id == "P-1001"
    renamed = clients_before(httpx.Response(200, content=sample.replace(b'"provenance"', b'"place"')))
    with pytest.raises(SearchUnavailableError, match=r"hits\.0\.provenance: Field required") as broken:
        renamed.search("shoes")
    assert broken.value.reason == "contract.broken"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(502, SearchUnavailableError), (429, SearchUnavailableError), (404, SearchRefusedError)],
)
def test_what_something_else_answers_is_told_as_it_is(status, kind):
    client = clients_before(httpx.Response(status, text="<h1>Bad gateway</h1>"))
    with pytest.raises(kind, match=f"HTTP {status} from http://search/product/p1: <h1>Bad gateway") as told:
        client.product("p1")
    assert (told.value.status, told.value.reason) == (status, f"http.{status}")


def test_a_page_instead_of_an_answer_is_no_answer():
    with pytest.raises(SearchUnavailableError, match="none of this version's"):
        clients_before(httpx.Response(200, text="<h1>Welcome</h1>")).search("shoes")


def test_nobody_there_is_told_with_what_to_do():
    with SearchClient("http://127.0.0.1:9") as client, pytest.raises(SearchUnavailableError) as away:
        client.search("shoes")
    assert (away.value.status, away.value.reason) == (None, "unreachable")
    assert "no search API at http://127.0.0.1:9: ConnectError" in str(away.value)
    assert "headrace up" in str(away.value)


async def test_an_answer_that_does_not_come_in_time_is_none(shop, open_api):
    await open_api()
    shop.network.stuck.add("a")
    server = HttpServer(shop.app, host="127.0.0.1", port=0)
    await server.start()
    async with AsyncSearchClient(server.url, timeout=timedelta(milliseconds=50)) as client:
        with pytest.raises(SearchUnavailableError, match="time limit") as late:
            await client.search("red shoe")
    assert late.value.reason == "timeout"
    shop.network.release.set()
    await server.stop()


@pytest.mark.parametrize("url", ["localhost:8800", "ftp://shop", "http://[::1", ""])
def test_what_is_no_address_is_told(url):
    with pytest.raises(ConfigurationError, match="is not an address"):
        SearchClient(url)


def test_the_options_are_those_of_the_requests():
    of_similar = SimilarRequest.model_fields.keys() - {"product_id", "text"}
    assert SimilarOptions.__annotations__.keys() == of_similar
    assert SearchOptions.__annotations__.keys() == SearchRequest.model_fields.keys() - {"text"}


HEAVY = {
    "faiss", "fastapi", "faust", "numpy", "prometheus_client", "pyarrow", "redis", "scipy", "sklearn",
    "tantivy", "torch", "transformers", "uvicorn",
}  # fmt: skip


def loaded_by(script):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_it_loads_nothing_heavy():
    modules = loaded_by("import headrace.search_api")
    assert (HEAVY | {"aiokafka", "pydantic_settings", "structlog"}).isdisjoint(modules)
    assert {name for name in modules if name.split(".")[0] == "shared"} == {
        "shared", "shared.errors", "shared.patience",
    }  # fmt: skip
    assert "pydantic" not in loaded_by("import headrace")
    assert (HEAVY | {"aiokafka"}).isdisjoint(loaded_by("from headrace import AsyncClient, Client"))


def test_using_it_loads_nothing_heavy_and_says_within_seconds_that_nobody_is_there():
    script = """
from headrace import Client
from shared.errors import TransientError
with Client("127.0.0.1:9", "http://127.0.0.1:9") as shop:
    for work in (lambda: shop.search("shoe"), lambda: shop.delete("p1"), lambda: next(iter(shop.alerts()))):
        try:
            work()
        except TransientError as error:
            assert "headrace up" in str(error), error
        else:
            raise SystemExit("nobody is there")
"""
    modules = loaded_by(script)
    assert "aiokafka" in modules
    assert HEAVY.isdisjoint(modules)
