"""The demo's client: what it reads from topics, registry and metrics."""

from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest

from headrace.search_api import AsyncSearchClient, SearchUnavailableError
from schemas.alerts import Alert
from schemas.judgements import Judgement
from services.lab.demo.client import Addresses, DemoClient
from shared.errors import TransientError
from shared.infrastructure.process import free_port
from shared.ports import outgoing
from shared.settings import Settings
from shared.testing.publisher import MemoryPublisher
from tests.unit.answering import answering
from tests.unit.lab.answers import search_answer

NOW = datetime(2026, 11, 20, tzinfo=UTC)
PAGE = """\
# TYPE headrace_texts_embedded_total counter
headrace_texts_embedded_total{partition="0"} 3.0
headrace_texts_embedded_total{partition="1"} 4.0
"""


def judgement(product_id: str) -> Judgement:
    return Judgement(
        query="lamp",
        product_id=product_id,
        window_start=NOW.date(),
        window_end=NOW.date(),
        impressions=1,
        shoppers=1,
        value=1.0,
        grade=1.0,
        updated_at=NOW,
    )


ALERT = Alert(
    alert_key="k",
    status="firing",
    severity="warning",
    summary="s",
    action="a",
    started_at=NOW,
    updated_at=NOW,
)


@pytest.fixture
def client() -> DemoClient:
    """Give a client that is connected to nothing but what the test puts there."""
    client = DemoClient(Addresses(Settings(), {"embedder": f"http://127.0.0.1:{free_port()}"}))
    client.publisher = MemoryPublisher()  # type: ignore[assignment]  it publishes
    client._judgements = SimpleNamespace(items={b"x": judgement("a").encode(), b"y": judgement("b").encode()})  # type: ignore[assignment]
    client._alerts = SimpleNamespace(items={b"k": ALERT.encode()})  # type: ignore[assignment]
    client._http = httpx.AsyncClient(trust_env=False)
    return client


async def test_messages_are_published_under_their_keys(client: DemoClient) -> None:
    await client.publish(judgement("a"), ALERT)
    assert client.publisher.messages == [outgoing(judgement("a")), outgoing(ALERT)]  # type: ignore[attr-defined]


def test_judgements_are_found_by_query_and_product(client: DemoClient) -> None:
    assert set(client.judgements()) == {("lamp", "a"), ("lamp", "b")}


def test_an_alert_is_its_last_state_or_nothing(client: DemoClient) -> None:
    assert client.alert("k") == ALERT
    assert client.alert("other") is None


def test_versions_grow_with_the_clock(client: DemoClient) -> None:
    first, now = client.version()
    assert first == int(now.timestamp() * 1000)
    assert client.version()[0] >= first


async def test_a_metric_is_summed_over_its_labels(client: DemoClient) -> None:
    with answering({"/metrics": (200, PAGE)}) as port:
        client.addresses = Addresses(Settings(), {"embedder": f"http://127.0.0.1:{port}"})
        assert await client.embedded() == 7
        assert await client.metric("embedder", "never_seen") == 0


async def test_a_worker_that_does_not_answer_is_named(client: DemoClient) -> None:
    with pytest.raises(TransientError, match=r"embedder does not say its figures at http://127\.0\.0\.1:"):
        await client.embedded()


async def test_owners_are_counted_once_a_partition(client: DemoClient) -> None:
    class Registry:
        async def owners(self):
            return [
                SimpleNamespace(partition=partition, documents=documents)
                for partition, documents in ((0, 5), (1, 7), (1, 8))
            ]

    client._registry = Registry()  # type: ignore[assignment]  it is asked for its owners alone
    assert len(await client.owners()) == 2
    assert await client.documents() == 13


async def test_a_search_is_asked_without_leaving_a_trace(client: DemoClient) -> None:
    asked = []

    def api(request: httpx.Request) -> httpx.Response:
        asked.append(request.read())
        return httpx.Response(200, text=search_answer(["a"]).model_dump_json())

    client.search_api = AsyncSearchClient("http://search", transport=httpx.MockTransport(api))
    answer = await client.search("lamp", k=3)
    assert [hit.product_id for hit in answer.hits] == ["a"]
    assert b'"log":false' in asked[0].replace(b" ", b"")


async def test_a_search_that_is_busy_is_an_error_of_the_moment(client: DemoClient) -> None:
    client.search_api = AsyncSearchClient(
        "http://search", transport=httpx.MockTransport(lambda _: httpx.Response(503))
    )
    with pytest.raises(SearchUnavailableError):
        await client.search("lamp")
    assert issubclass(SearchUnavailableError, TransientError)
