"""A worker's port: health, readiness with its reasons, metrics, and where others reach it."""

import asyncio
import socket

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import Counter

from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.process import is_free
from shared.pauses import Pauses
from shared.process.http import HttpServer, health_routes


@pytest.fixture
async def served():
    """Serve an app with these checks, and return it with a client; everything ends with the test."""
    running: list[HttpServer] = []
    clients: list[httpx.AsyncClient] = []

    async def serve(
        checks=None, api: FastAPI | None = None, pauses: Pauses | None = None
    ) -> tuple[HttpServer, httpx.AsyncClient]:
        api = api or FastAPI()
        health_routes(api, checks if checks is not None else {}, pauses if pauses is not None else Pauses())
        server = HttpServer(api, host="127.0.0.1", port=0)
        await server.start()
        running.append(server)
        clients.append(httpx.AsyncClient(base_url=server.url, timeout=20))
        return server, clients[-1]

    yield serve
    for client in clients:
        await client.aclose()
    for server in running:
        await server.stop()


async def test_an_idle_connection_is_given_up_by_whoever_asks_first(served):
    """Otherwise a request may meet the end of its connection: `ReadError`, of a server that is well."""
    server, _ = await served()
    kept = httpx.Limits().keepalive_expiry
    assert kept is not None
    assert server._server.config.timeout_keep_alive > 10 * kept


async def test_it_is_alive_as_soon_as_it_serves(served):
    _, client = await served({"start": lambda: "still starting"})
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_it_is_ready_when_every_check_is_and_says_what_is_missing_and_what_is_waited_for(served):
    missing = {"start": "still starting", "shards": "2 of 4"}
    pauses = Pauses()
    checks = {name: lambda name=name: missing.get(name) for name in [*missing, "model"]}
    _, client = await served(checks, pauses=pauses)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "waiting", "reasons": missing, "paused": {}},
    )
    del missing["start"]
    assert (await client.get("/readyz")).json()["reasons"] == {"shards": "2 of 4"}
    missing.clear()
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "reasons": {}, "paused": {}})
    full = TransientError("Redis is full", cause="redis.full", fix="give it memory")
    pauses.begin(served, "shard 3", full)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["paused"]) == (
        200,
        {"redis.full": "Redis is full: give it memory"},
    )


async def test_a_check_that_is_added_later_counts(served):
    checks = {}
    _, client = await served(checks)
    assert (await client.get("/readyz")).status_code == 200
    checks["model"] = lambda: "loading"
    assert (await client.get("/readyz")).status_code == 503


async def test_metrics_are_in_prometheus_text(served):
    Counter("headrace_test_port", "Of this test").inc(7)
    _, client = await served()
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "headrace_test_port_total 7.0\n" in answer.text


async def test_a_workers_own_routes_are_beside_them_and_health_is_not_in_their_description(served):
    api = FastAPI()
    api.get("/search")(lambda: "found")
    _, client = await served(api=api)
    assert (await client.get("/search")).json() == "found"
    assert (await client.get("/openapi.json")).json()["paths"].keys() == {"/search"}


async def test_a_stop_finishes_the_request_in_hand_and_frees_the_port(served):
    api, entered, going_on = FastAPI(), asyncio.Event(), asyncio.Event()

    @api.get("/slow")
    async def slow() -> str:
        entered.set()
        await going_on.wait()
        return "done"

    server, client = await served(api=api)
    asking = asyncio.ensure_future(client.get("/slow"))
    await entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await asyncio.sleep(0)
    going_on.set()
    assert (await asking).json() == "done"
    await stopping
    assert is_free(int(server.url.rpartition(":")[2]))


async def test_waiting_ends_with_the_server(served):
    server, _ = await served()
    waiting = asyncio.ensure_future(server.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await server.stop()
    await waiting


async def test_a_server_that_never_started_can_be_waited_for_and_stopped():
    server = HttpServer(FastAPI(), host="127.0.0.1", port=0)
    await server.wait()
    await server.stop()


def test_a_port_is_bound_before_it_is_served_and_another_gets_another():
    one, other = (HttpServer(FastAPI(), host="127.0.0.1", port=0) for _ in range(2))
    with one.bind() as first, other.bind() as second:
        ports = [listener.getsockname()[1] for listener in (first, second)]
        assert ports[0] != ports[1]
        assert [one.url, other.url] == [f"http://127.0.0.1:{port}" for port in ports]


@pytest.mark.parametrize(
    ("host", "advertise", "url"),
    [
        ("127.0.0.1", "", "http://127.0.0.1:8800"),
        ("127.0.0.1", "search.shop", "http://search.shop:8800"),
        ("0.0.0.0", "search.shop", "http://search.shop:8800"),  # noqa: S104 - it is not bound
        ("::1", "", "http://[::1]:8800"),
    ],
)
def test_others_reach_it_where_it_says(host, advertise, url):
    assert HttpServer(FastAPI(), host=host, port=8800, advertise=advertise).url == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - it is not bound
def test_every_address_is_advertised_as_one_of_this_machine(host):
    reached = HttpServer(FastAPI(), host=host, port=8800).url.removeprefix("http://").removesuffix(":8800")
    assert reached not in ("0.0.0.0", "::", "[::]")  # noqa: S104 - as above
    assert reached in {socket.gethostname(), *socket.gethostbyname_ex(socket.gethostname())[2]}


def test_a_host_that_is_not_ours_is_a_wrong_configuration():
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:"):
        HttpServer(FastAPI(), host="192.0.2.1", port=0).bind()


async def test_an_accepted_connection_does_not_hold_back_small_packets(served):
    server, _ = await served()
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 404 Not Found\r\n"
    [connection] = server._server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    writer.close()


async def test_a_port_that_is_taken_is_told_with_what_to_do(served):
    server, _ = await served()
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match="set another port"):
        HttpServer(FastAPI(), host="127.0.0.1", port=port).bind()
