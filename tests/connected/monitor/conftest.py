"""A real Redis, a clock that a test moves, a bus that can be away, a search that does as told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI, Response
from pydantic import BaseModel
from redis.asyncio import Redis

from schemas.golden import golden
from schemas.search_api import SearchResponse
from shared.errors import TransientError
from shared.http.problem import Refusal
from shared.process.http import HttpServer
from shared.records import Outgoing


class Clock:
    """Moves when told to."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


class Bus:
    """A `Publisher` that keeps what it acknowledged; while `away` it acknowledges nothing."""

    def __init__(self) -> None:
        self.away = False
        self.sent: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.away:
            raise TransientError("the broker is away")
        self.sent += messages

    def on(self, topic: str) -> list[Outgoing]:
        return [message for message in self.sent if message.topic == topic]


class Asked(BaseModel):
    text: str
    k: int
    generation: str
    log: bool = True


@dataclass
class Search:
    """A search API in this process: answers from `products`, or fails as told."""

    url: str = ""
    products: dict[str, list[str]] = field(default_factory=dict)
    products_of: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """What other generations answer; absent: the same."""
    partial: bool = False
    status: int = 200
    code: str = "refused"
    busy: int = 0
    hang: bool = False
    release: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def api(self) -> FastAPI:
        api = FastAPI()

        @api.post("/search")
        async def search(asked: Asked) -> Response:
            self.asked.append(asked)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                return await self.answer(asked)
            finally:
                self.at_once -= 1

        return api

    async def answer(self, asked: Asked) -> Response:
        if self.hang:
            await self.release.wait()
        if self.busy > 0:
            self.busy -= 1
            return Refusal(429, "overloaded", "busy", fix="ask again").response()
        await asyncio.sleep(0)
        if self.status != 200:
            return Refusal(self.status, self.code, "as told", fix="tell otherwise").response()
        products = self.products_of.get(asked.generation, self.products)
        hits = products.get(asked.text, [])[: asked.k]
        return Response(self.said(asked.generation, hits).model_dump_json(), media_type="application/json")

    def said(self, generation: str, product_ids: Sequence[str]) -> SearchResponse:
        sample = SearchResponse.model_validate_json(golden("search_api.SearchResponse"))
        hits = [
            sample.hits[0].model_copy(update={"rank": rank, "product_id": product_id})
            for rank, product_id in enumerate(product_ids, start=1)
        ]
        return sample.model_copy(
            update={"generation": generation, "hits": tuple(hits), "partial": self.partial}
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def search() -> AsyncIterator[Search]:
    api = Search()
    server = HttpServer(api.api(), host="127.0.0.1", port=0)
    await server.start()
    api.url = server.url
    yield api
    api.release.set()
    await server.stop()
