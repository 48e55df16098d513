"""A shop's front end before the search API: what it asks, and when it gives a visit up."""

from datetime import UTC, datetime

import httpx
import orjson
import pytest

from headrace.search_api import AsyncSearchClient, SearchRefusedError, SearchUnavailableError
from schemas.search_api import Problem
from services.lab.simulation import delivery, shop
from services.lab.simulation.delivery import PAUSES, ShopFrontEnd
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import APPLICATION, Simulation, Traffic
from shared.clock import SystemClock
from tests.unit.lab.answers import search_answer

SALE = shop.sample(size=200, queries=5)
VISIT = next(
    Simulation(SALE, ClickModel(), Traffic(sessions=1, until=datetime(2026, 3, 1, tzinfo=UTC))).visits()
)


class Api:
    """A search API that answers with these statuses one after the other, then in full."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.bodies = [*statuses], []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(orjson.loads(request.content))
        if not self.statuses:
            return httpx.Response(200, text=search_answer(["a", "b"], query_id="q7").model_dump_json())
        status = self.statuses.pop(0)
        problem = Problem(type="urn:headrace:problem:x", title="x", status=status, detail="no", fix="wait")
        return httpx.Response(status, text=problem.model_dump_json())


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch) -> None:
    monkeypatch.setattr(delivery, "PAUSES", (0.0,) * len(PAUSES))


def front_end(api: Api) -> ShopFrontEnd:
    client = AsyncSearchClient("http://search", transport=httpx.MockTransport(api))
    return ShopFrontEnd(client, SystemClock())


async def test_a_visit_is_asked_as_it_was_typed_and_by_whom() -> None:
    api = Api()
    answer = await front_end(api).answer(VISIT, 10)
    assert answer is not None
    assert (answer.query_id, answer.product_ids) == ("q7", ("a", "b"))
    [body] = api.bodies
    assert (body["text"], body["k"], body["application"]) == (VISIT.typed, 10, APPLICATION)
    assert (body["client_id"], body["session_id"]) == (VISIT.client_id, VISIT.session_id)
    assert body["fields"] == []


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_busy_is_not_an_error(status) -> None:
    assert status in delivery.BUSY


@pytest.mark.parametrize("busy", [1, 2])
async def test_a_busy_search_is_asked_again(busy: int) -> None:
    api = Api(*([429] * busy))
    assert await front_end(api).answer(VISIT, 10) is not None
    assert len(api.bodies) == busy + 1


async def test_a_shopper_gives_up_in_the_end() -> None:
    api = Api(*([503] * 10))
    assert await front_end(api).answer(VISIT, 10) is None
    assert len(api.bodies) == len(PAUSES)


async def test_a_search_that_refuses_is_an_error() -> None:
    with pytest.raises(SearchRefusedError):
        await front_end(Api(401)).answer(VISIT, 10)


async def test_a_search_that_is_not_there_is_an_error() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = AsyncSearchClient("http://search", transport=httpx.MockTransport(nobody))
    with pytest.raises(SearchUnavailableError):
        await ShopFrontEnd(client, SystemClock()).answer(VISIT, 10)
