"""Connections that ask nothing, too slowly or too many at once, on real sockets."""

import asyncio
import socket
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI, Response

from shared.pauses import Pauses
from shared.process.http import HttpServer, health_routes, within_files
from shared.settings import HttpSettings

SOON = timedelta(milliseconds=200)
LARGE = 32 << 20
"""Bytes: more than both sides' buffers hold."""


class Work:
    """Requests that are answered when the test says so."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self._changed = asyncio.Condition()
        self._entered = 0

    async def enter(self) -> None:
        async with self._changed:
            self._entered += 1
            self._changed.notify_all()
        await self.done.wait()

    async def reached(self, number: int) -> None:
        """Return when so many are in hand."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._entered >= number)


@pytest.fixture
async def work():
    return Work()


@pytest.fixture
async def serve(work):
    """Serve an app with these limits, and return the port."""
    running: list[HttpServer] = []

    async def serve(**limits) -> int:
        api = FastAPI()
        health_routes(api, {}, Pauses())
        api.get("/large")(lambda: Response(b"x" * LARGE))
        api.get("/work")(work.enter)
        server = HttpServer(api, host="127.0.0.1", port=0, settings=HttpSettings(**limits))
        await server.start()
        running.append(server)
        return server._port

    yield serve
    work.done.set()
    for server in running:
        await server.stop()


@pytest.fixture
async def connect():
    """Open a connection that has said `sent`."""
    writers: list[asyncio.StreamWriter] = []

    async def connect(port: int, sent: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader

    yield connect
    for writer in writers:
        writer.close()


async def alive(port: int) -> int:
    async with httpx.AsyncClient(timeout=20) as client:
        return (await client.get(f"http://127.0.0.1:{port}/livez")).status_code


HALF = b"POST /search HT"
ASKED = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (HALF, b"HTTP/1.1 408 "),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-", b"HTTP/1.1 408 "),
    ],
)
async def test_a_connection_that_never_asks_is_closed(serve, connect, sent, answered):
    port = await serve(request_within=SOON)
    assert (await (await connect(port, sent)).read()).startswith(answered)


async def test_a_request_line_that_trickles_is_not_waited_for_longer(serve):
    port = await serve(request_within=SOON)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        while not reader.at_eof():
            writer.write(b"G")
            await writer.drain()
            await alive(port)
    assert reader.at_eof() or writer.is_closing(), "it was closed while bytes came"
    writer.close()


async def test_half_a_request_behind_an_answer_is_not_waited_for_either(serve, connect):
    port = await serve(request_within=SOON)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASKED)
    assert b"alive" in await reader.readuntil(b"}")
    writer.write(HALF)
    assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_connection_that_was_answered_may_be_idle_for_longer(serve):
    port = await serve(request_within=SOON)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASKED)
    assert b"alive" in await reader.readuntil(b"}")
    assert await (await asyncio.open_connection("127.0.0.1", port))[0].read() == b"", "that long"
    writer.write(ASKED)
    assert b"alive" in await reader.readuntil(b"}")
    writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(serve):
    port = await serve(request_within=SOON)
    before = await given_up(port)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        while await given_up(port) == before:
            pass
        received = await asyncio.to_thread(everything, peer)
    assert 0 < received < LARGE


async def given_up(port: int) -> str:
    """Return how many answers were not read, as the metrics say."""
    async with httpx.AsyncClient(timeout=20) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return next((line for line in text.splitlines() if 'http_closed_total{reason="not read"}' in line), "")


def everything(peer: socket.socket) -> int:
    received = 0
    with suppress(ConnectionError):
        while part := peer.recv(1 << 20):
            received += len(part)
    return received


async def test_one_address_has_so_many_connections(serve, connect):
    port = await serve(per_client=8)
    for _ in range(8):
        await connect(port, HALF)
    assert (await (await connect(port)).read()).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize("said", [b"", HALF, b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"])
async def test_idle_connections_take_no_place_away(serve, connect, said):
    port = await serve(connections=16)
    readers = [await connect(port, said) for _ in range(200)]
    assert await alive(port) == 200
    assert await readers[0].read() is not None, "the longest idle one is closed"


async def test_when_all_are_at_work_one_more_is_refused(serve, connect, work):
    port = await serve(connections=8)
    for number in range(8):
        await connect(port, b"GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
        await work.reached(number + 1)
    assert (await (await connect(port)).read()).startswith(b"HTTP/1.1 429 ")


def test_there_are_no_more_connections_than_files_allow(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (100, 4096))
    assert within_files(HttpSettings()).connections == 50
    assert within_files(HttpSettings(connections=10)).connections == 10
