"""What the callers of the client add to it: when they ask again, and what a failure is to them."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from headrace.search_api import AsyncSearchClient, SearchRefusedError, SearchUnavailableError
from schemas.golden import golden
from schemas.judgements import Canary
from services.lab.simulation.delivery import ShopFrontEnd
from services.lab.simulation.traffic import Visit
from services.monitor.search_probe import CanaryAnswer, CanaryRefusedError, SearchFailedError, SearchProbe
from shared.http.problem import Refusal
from tests.unit.search.virtual_time import run

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FINE = httpx.Response(200, content=golden("search_api.SearchResponse"))
CANARY = Canary(canary_id="c", query="red shoes", product_ids=("P-1001",), k=5)


def refusal(status):
    response = Refusal(status, "code", "detail", fix="fix").response()
    return httpx.Response(status, content=response.body)


class Scripted(httpx.AsyncBaseTransport):
    """Gives the answers of a list, the last one for ever, and notes when it was asked for what."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.moments = []
        self.bodies = []

    async def handle_async_request(self, request):
        self.moments.append(round(asyncio.get_running_loop().time(), 2))
        self.bodies.append(request.content.decode())
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Clock:
    def now(self):
        return NOW


def visit(transport):
    async def asked():
        async with AsyncSearchClient("http://search", transport=transport) as client:
            shopper = Visit(
                number=0,
                query=None,
                typed="red shoes",
                time=NOW,
                client_id="c-1",
                session_id="s-1",
                robot=False,
            )
            return await ShopFrontEnd(client, Clock()).answer(shopper, 10)

    return run(asked())


def test_a_shop_shows_the_hits_of_a_search_that_is_logged_as_its_own():
    search = Scripted(FINE)
    shown = visit(search)
    assert (shown.query_id[:4], shown.product_ids) == ("8f14", ("P-1001", "P-2040"))
    for part in ('"client_id":"c-1"', '"session_id":"s-1"', '"fields":[]'):
        assert part in search.bodies[0]
    assert '"log"' not in search.bodies[0]


def test_a_shop_asks_a_busy_search_again_and_then_gives_up():
    search = Scripted(refusal(429), refusal(503), FINE)
    assert visit(search).product_ids
    assert search.moments == [0.0, 0.05, 0.25]
    assert visit(Scripted(refusal(429))) is None


@pytest.mark.parametrize(("status", "kind"), [(422, SearchRefusedError), (500, SearchUnavailableError)])
def test_a_shop_does_not_go_on_without_its_search(status, kind):
    with pytest.raises(kind):
        visit(Scripted(refusal(status)))


def probing(transport, ask):
    async def asked():
        probe = SearchProbe("http://search", timeout=timedelta(seconds=1), concurrency=1, transport=transport)
        await probe.start()
        try:
            return await ask(probe)
        finally:
            await probe.stop()

    return run(asked())


def test_a_canary_is_searched_without_a_trace():
    search = Scripted(FINE)
    answer = probing(search, lambda probe: probe.ask(CANARY, generation="g1"))
    assert answer == CanaryAnswer(("P-1001", "P-2040"), partial=True)
    assert '"log":false' in search.bodies[0]
    assert '"generation":"g1"' in search.bodies[0]


def test_a_busy_search_is_asked_three_times():
    search = Scripted(refusal(429))
    with pytest.raises(SearchFailedError, match="HTTP 429: detail"):
        probing(search, lambda probe: probe.ask(CANARY, generation="g1"))
    assert search.moments == [0.0, 0.25, 0.75]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, CanaryRefusedError), (422, CanaryRefusedError), (401, SearchFailedError)]
)
def test_only_what_is_no_query_is_the_canarys_own_fault(status, kind):
    [failure] = probing(Scripted(refusal(status)), lambda probe: probe.ask_all([CANARY], generation="g1"))
    assert type(failure) is kind


def test_recall_is_of_an_exact_scan_and_says_nothing_of_half_an_index():
    whole = FINE.content.replace(b'"partial": true', b'"partial": false')
    search = Scripted(httpx.Response(200, content=whole))
    assert probing(search, lambda probe: probe.recall("shoes", generation="g1")) == (2, 2)
    assert ['"exact":true' in body for body in search.bodies] == [False, True]
    assert probing(Scripted(FINE), lambda probe: probe.recall("shoes", generation="g1")) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "moment"),
    [
        (httpx.Response(200, text="# x\nprocess_start_time_seconds 1.79e9\nother 2\n"), "1.79e9"),
        (httpx.Response(200, text="other 2\n"), None),
        (httpx.Response(503), None),
    ],
)
def test_the_start_of_search_is_read_of_its_metrics(answer, moment):
    assert probing(Scripted(answer), lambda probe: probe.started()) == moment
