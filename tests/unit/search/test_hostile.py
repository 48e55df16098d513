"""Hostile clients of the search API, on real sockets: others go on searching, and no request is a failure."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.search.description import ROUTES
from shared.process.http import HttpServer

SOCKETS = 64
RED_SHOE = {"text": "red shoe", "log": False}
NEVER = {"text": "red shoe", "min_offsets": {"0": 10**12}, "timeout_ms": 30_000, "log": False}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
"""Lone surrogates and all."""
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
async def serve(open_api, shop):
    """Serve the API with these settings; return the port and a client."""
    opened = []

    async def serve(**limits):
        await open_api(**limits)
        server = HttpServer(shop.app, host="127.0.0.1", port=0)
        await server.start()
        client = httpx.AsyncClient(base_url=server.url, timeout=30)
        opened.extend([client.aclose, server.stop])
        return server._port, client

    yield serve
    for close in opened:
        await close()


async def connected(port: int, body: bytes, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection that sends a body of this declared length, or a part of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    writer.write(f"{head}{length}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


async def in_turn(client: httpx.AsyncClient) -> list[int]:
    return [(await client.post("/search", json=RED_SHOE)).status_code for _ in range(5)]


async def test_a_body_that_does_not_come_is_answered_408_and_the_connection_closed(serve):
    port, _ = await serve(body_within=timedelta(milliseconds=100))
    reader, writer = await connected(port, b'{"te', 10)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body.too_slow" in answer


async def test_slow_bodies_take_no_search_away_from_others(serve):
    port, client = await serve(concurrency=2)
    slow = [await connected(port, b'{"te', 10) for _ in range(SOCKETS)]
    assert await in_turn(client) == [200] * 5
    for _, writer in slow:
        writer.close()


async def test_those_who_wait_take_no_search_away_from_others(serve, shop):
    port, client = await serve(concurrency=2)
    body = json.dumps(NEVER).encode()
    waiting = [await connected(port, body, len(body)) for _ in range(SOCKETS)]
    assert await in_turn(client) == [200] * 5
    for _, writer in waiting:
        writer.close()


async def test_one_address_cannot_have_everything(serve):
    port, client = await serve(per_client=8)
    slow = [await connected(port, b'{"te', 10) for _ in range(8)]
    refused = await client.post("/search", json=RED_SHOE)
    while refused.status_code == 200:  # the last of them is not read yet
        refused = await client.post("/search", json=RED_SHOE)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    for _, writer in slow:
        writer.close()


async def test_a_method_that_there_is_not_is_answered_405_with_those_there_are(serve):
    _, client = await serve()
    answer = await client.get("/search")
    assert (answer.status_code, answer.headers["allow"], answer.json()["status"]) == (405, "POST", 405)


class Generated:
    """Strategies of what a JSON schema describes, and of what is nearly so."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]

    def of(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return st.deferred(lambda: self.of(self._schemas[schema["$ref"].rpartition("/")[2]]))
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return st.one_of(*map(self.of, schema[several]))
        if "const" in schema or "enum" in schema:
            return st.sampled_from(schema.get("enum") or [schema["const"]])
        return getattr(self, "_" + schema.get("type", "anything"))(schema)

    def _anything(self, _: dict[str, Any]) -> st.SearchStrategy[Any]:
        return ANY_JSON

    def _null(self, _: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.none()

    def _boolean(self, _: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.booleans()

    def _integer(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.integers(schema.get("minimum"), schema.get("maximum"))

    def _number(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.floats(schema.get("minimum"), schema.get("maximum"))

    def _string(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "pattern" in schema:
            return st.from_regex(schema["pattern"])
        return st.sampled_from(["red shoe", "title", "price", "p1"]) | ANY_TEXT

    def _array(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.lists(self.of(schema.get("items", {})), max_size=3)

    def _object(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "properties" not in schema:
            more = schema.get("additionalProperties") or {}
            names = st.integers(0, 3).map(str) | ANY_TEXT
            return st.dictionaries(names, self.of(more if isinstance(more, dict) else {}), max_size=3)
        required = schema.get("required", ())
        members = {name: self.of(member) for name, member in schema["properties"].items()}
        members["timeout_ms"] = st.sampled_from([None, 1, 50])
        known = {name: strategy for name, strategy in members.items() if name in required}
        return st.fixed_dictionaries(
            known, optional={name: strategy for name, strategy in members.items() if name not in required}
        )


def examples(strategy: st.SearchStrategy[Any], number: int) -> list[Any]:
    """Return so many examples, the same each time."""
    found: list[Any] = []

    @settings(max_examples=number, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.request is not None])
async def test_no_request_that_can_be_generated_is_a_failure(serve, name):
    _, client = await serve(timeout=timedelta(milliseconds=100))
    document = (await client.get("/openapi.json")).json()
    route = ROUTES[name]
    operation = document["paths"][route.path]["post"]
    described = Generated(document).of(operation["requestBody"]["content"]["application/json"]["schema"])
    documented = {int(status) for status in operation["responses"]}
    for body in examples(described | ANY_JSON, 150):
        headers = {"Content-Type": "application/json"}
        answer = await client.post(route.path, content=json.dumps(body), headers=headers)
        assert answer.status_code in documented - {500}, (body, answer.text)


@pytest.mark.parametrize("path", ["/product/{}", "/why?query={}&product_id={}", "/fields?generation={}"])
async def test_no_address_that_can_be_generated_is_a_failure(serve, path):
    _, client = await serve()
    for text in examples(ANY_TEXT, 100):
        part = quote(text.encode("utf-8", "surrogatepass"), safe="")
        answer = await client.get(path.replace("{}", part))
        assert answer.status_code < 500 or answer.status_code in {503, 504}, (text, answer.text)
