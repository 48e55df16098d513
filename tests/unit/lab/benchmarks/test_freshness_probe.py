"""The freshness probe: one product's life, each step timed until a search shows it."""

import asyncio

import httpx
import orjson
import pytest

from headrace.search_api import AsyncSearchClient
from schemas.catalogue import ProductChange
from schemas.search_api import Problem
from services.lab.benchmarks import freshness
from services.lab.benchmarks.freshness import Ages, Probe, _stream
from shared.errors import TransientError
from shared.testing.publisher import MemoryPublisher
from tests.unit.lab.answers import product_answer, search_answer


class Index:
    """A search API over what a publisher was given; it is too busy for the first `busy` searches."""

    def __init__(self, publisher: MemoryPublisher, *, busy: int = 0, frozen: bool = False) -> None:
        self.publisher, self.busy, self.frozen = publisher, busy, frozen
        self.asked: list[str] = []

    def products(self) -> dict[str, dict]:
        alive: dict[str, dict] = {}
        for message in [] if self.frozen else self.publisher.messages:
            change = ProductChange.decode(message.value or b"")
            if change.op == "delete":
                alive.pop(change.product_id, None)
            else:
                alive[change.product_id] = {**alive.get(change.product_id, {}), **change.fields}
        return alive

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path.startswith("/product/"):
            product_id = request.url.path.removeprefix("/product/")
            product = self.products().get(product_id)
            if product is None:
                return problem(404, "product.unknown")
            return httpx.Response(200, text=product_answer(product_id, fields=product).model_dump_json())
        self.busy -= 1
        if self.busy >= 0:
            return problem(429, "search.busy")
        word = orjson.loads(request.content)["text"]
        hits = [each for each, fields in self.products().items() if word in fields["title"]]
        return httpx.Response(200, text=search_answer(hits).model_dump_json())


def problem(status: int, code: str) -> httpx.Response:
    answer = Problem(type=f"urn:headrace:problem:{code}", title=code, status=status, detail="no", fix="wait")
    return httpx.Response(status, text=answer.model_dump_json())


def probe(**options) -> tuple[Probe, Index, MemoryPublisher]:
    publisher = MemoryPublisher()
    index = Index(publisher, **options)
    client = AsyncSearchClient("http://search", transport=httpx.MockTransport(index))
    return Probe(client, publisher, ["Lamp", "Sofa"]), index, publisher  # type: ignore[arg-type]  it publishes


async def test_a_life_is_a_product_a_price_and_a_delete_each_timed() -> None:
    watcher, _, publisher = probe()
    ages = Ages()
    await watcher.life(1, ages)
    changes = [ProductChange.decode(message.value or b"") for message in publisher.messages]
    assert [change.op for change in changes] == ["upsert", "patch", "delete"]
    assert len({change.product_id for change in changes}) == 1
    assert [change.version for change in changes] == sorted({change.version for change in changes})
    assert str(changes[0].fields["title"]).endswith(" Sofa")
    assert {name: len(seconds) for name, seconds in ages.seconds.items()} == {
        "freshness": 1,
        "price change": 1,
        "delete": 1,
    }


async def test_lives_are_of_different_products() -> None:
    watcher, _, publisher = probe()
    ages = Ages()
    for number in range(3):
        await watcher.life(number, ages)
    assert len({ProductChange.decode(message.value or b"").product_id for message in publisher.messages}) == 3


async def test_a_busy_search_is_asked_again(monkeypatch) -> None:
    monkeypatch.setattr(freshness, "POLL_SECONDS", 0.0)
    watcher, index, _ = probe(busy=3)
    await watcher.life(0, Ages())
    assert index.asked.count("/search") == 3 + 2


async def test_a_change_that_is_never_seen_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(freshness, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(freshness, "LONGEST_SECONDS", 0.02)
    watcher, _, _ = probe(frozen=True)
    with pytest.raises(TransientError, match=r"the upsert was not seen within 0\.02 s"):
        await watcher.life(0, Ages())


async def test_the_load_is_written_whole_and_at_its_rate() -> None:
    publisher, loop = MemoryPublisher(), asyncio.get_running_loop()
    now = loop.time()
    load = [freshness.outgoing(change(number)) for number in range(30)]
    await _stream(publisher, load, 200.0)  # type: ignore[arg-type]  it publishes
    assert publisher.messages == load
    assert loop.time() - now >= 0.14


def change(number: int) -> ProductChange:
    fields = {"product_id": f"p{number}", "op": "delete", "version": 1, "event_time": "2026-11-20T00:00:00Z"}
    return ProductChange.model_validate(fields)
