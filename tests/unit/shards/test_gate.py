"""The shards' port gives no catalogue to strangers, and bounds what a question costs before it reads it."""

import asyncio

import httpx
import pytest
from starlette.routing import Route, WebSocketRoute
from structlog.testing import capture_logs

from services.shards.api import MAX_BODY
from services.shards.app import build
from services.shards.gate import GUARDED, guard
from services.shards.settings import Settings, ShardsSettings
from shared.settings import ClusterSettings
from tests.unit.search.conftest import shop
from tests.unit.shards.test_api import QUERY

__all__ = ["shop"]
SECRET = "a-secret-of-24-signs----"  # noqa: S105 - of no installation
CLUSTER = ClusterSettings(secret=SECRET)
WHERE = {"generation": "g1", "partition": 0}
OPEN = {"/metrics", "/livez", "/readyz", "/openapi.json", "/frames"}
"""`/frames` asks for the secret itself."""
PATHS = [("GET", "/dump"), ("GET", "/fields"), ("GET", "/products/p1"), ("GET", "/stored")] + [
    ("POST", path) for path in ("/query", "/similar", "/explain")
]


def asking(shop, settings, **headers):
    """Return a client of a guarded shard process."""
    api = shop.network.apps["a"]
    guard(api, settings)
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://a", headers=headers)


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x"])
async def test_nobody_without_the_secret_is_answered(shop, method, path, header):
    async with asking(shop, Settings(cluster=CLUSTER), Authorization=header) as client:
        answer = await client.request(method, path, params=WHERE)
    assert (answer.status_code, answer.json()["title"]) == (401, "token.missing")


def test_every_route_of_the_worker_is_guarded_but_those_of_its_health(tmp_path):
    worker = build(Settings(data_dir=tmp_path))
    paths = {route.path for route in worker.api.routes if isinstance(route, Route | WebSocketRoute)}
    assert {path for path in paths if not path.startswith(GUARDED)} <= OPEN


async def test_whoever_shows_the_secret_is(shop):
    async with asking(shop, Settings(cluster=CLUSTER), **CLUSTER.headers) as client:
        answers = [
            await client.get("/dump", params=WHERE),
            await client.get("/products/p1", params=WHERE),
            await client.post("/query", json=QUERY),
        ]
    assert [answer.status_code for answer in answers] == [200] * 3


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(shop):
    taken = 0

    async def endless():
        nonlocal taken
        while True:
            taken += 1
            yield b" " * (MAX_BODY // 4)

    async with asking(shop, Settings()) as client:
        answer = await client.post("/query", content=endless())
        declared = await client.post("/query", content=b"", headers={"Content-Length": str(MAX_BODY + 1)})
    assert (answer.status_code, declared.status_code) == (413, 413)
    assert taken <= 6, "a quarter of the limit each"


async def test_of_those_who_read_whole_partitions_only_some_are_let_in_at_once(shop):
    section = ShardsSettings(concurrency=8, dumps=2)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def held():
        entered.set()
        await leave.wait()
        yield b""

    async with asking(shop, Settings(shards=section)) as client:
        dumps = []
        for _ in range(2):
            entered.clear()
            dumps.append(asyncio.create_task(client.request("GET", "/dump", params=WHERE, content=held())))
            await entered.wait()
        more = await client.get("/dump", params=WHERE)
        question = await client.post("/query", json=QUERY)
        leave.set()
        first = [(await dump).status_code for dump in dumps]
    assert (more.status_code, question.status_code, first) == (429, 200, [200, 200])


@pytest.mark.parametrize(
    ("host", "cluster", "warnings"),
    [("0.0.0.0", {}, 1), ("127.0.0.1", {}, 0), ("0.0.0.0", {"secret": SECRET}, 0)],  # noqa: S104 - not bound
)
def test_a_port_that_is_open_to_others_is_warned_of(shop, host, cluster, warnings):
    with capture_logs() as events:
        guard(shop.network.apps["a"], Settings(host=host, cluster=cluster))
    assert [event["event"] for event in events] == ["shards.open"] * warnings
