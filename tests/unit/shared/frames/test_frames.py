"""Frames over a real connection: many at once, refusals, strangers, rubbish, and peers that go away."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.frames.client import FrameClient, PeerError
from shared.frames.protocol import MAX_FRAME, PATH, Frame, FrameKind
from shared.frames.server import IN_HAND, FrameRefusal, FrameService
from shared.process.http import HttpServer

TOKEN = SecretStr("a secret of sixteen")
HEADERS = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
ASK = FrameKind.CANDIDATES


class Peer:
    """Answers with what it is asked; some questions wait until `go_on`."""

    def __init__(self):
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.arrived = asyncio.Condition()

    async def answer(self, body):
        if body == b"refuse":
            raise FrameRefusal(b"no")
        if body == b"misunderstand":
            raise ValueError("what?")
        if body.startswith(b"wait"):
            async with self.arrived:
                self.waiting += 1
                self.arrived.notify_all()
            await self.go_on.wait()
        return body

    async def reached(self, waiting):
        async with self.arrived:
            await self.arrived.wait_for(lambda: self.waiting >= waiting)


@asynccontextmanager
async def serving(peer, *, tokens=(TOKEN,), connections=8, port=0):
    api = FastAPI()
    service = FrameService({ASK: peer.answer}, tokens=tokens, connections=connections)
    api.add_api_websocket_route(PATH, service.serve)
    server = HttpServer(api, host="127.0.0.1", port=port)
    server.bind()
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


@pytest.fixture
async def client():
    client = FrameClient(headers=HEADERS)
    yield client
    await client.stop()


@pytest.fixture
async def peer():
    return Peer()


async def test_an_answer_is_of_its_question_whatever_else_is_asked_meanwhile(peer, client):
    async with serving(peer) as url:
        late = asyncio.create_task(client.ask(url, ASK, b"wait"))
        await peer.reached(1)
        bodies = [os.urandom(size) for size in (0, 1, 100_000, 7)]
        frames = await asyncio.gather(*(client.ask(url, ASK, body) for body in bodies))
        assert [(frame.kind, frame.body) for frame in frames] == [(FrameKind.ANSWER, body) for body in bodies]
        peer.go_on.set()
        assert (await late).body == b"wait"


async def test_a_refusal_and_a_misunderstanding_are_answers(peer, client):
    async with serving(peer) as url:
        refused, odd = await client.ask(url, ASK, b"refuse"), await client.ask(url, ASK, b"misunderstand")
        unknown = await client.ask(url, 99, b"")
    assert (refused.kind, refused.body) == (FrameKind.REFUSAL, b"no")
    assert (odd.kind, odd.body) == (FrameKind.MALFORMED, b"what?")
    assert (unknown.kind, unknown.body) == (FrameKind.MALFORMED, b"there is no question of kind 99")


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer another secret"}, {"Authorization": "Basic x"}]
)
async def test_a_stranger_does_not_get_in(peer, headers):
    stranger = FrameClient(headers=headers)
    async with serving(peer) as url:
        with pytest.raises(PeerError, match="403"):
            await stranger.ask(url, ASK, b"")
    await stranger.stop()


async def test_one_connection_too_many_is_refused_and_the_others_go_on(peer, client):
    async with serving(peer, connections=1) as url:
        assert (await client.ask(url, ASK, b"1")).body == b"1"
        with pytest.raises(InvalidStatus):
            await connect(url.replace("http", "ws") + PATH, additional_headers=HEADERS)
        assert (await client.ask(url, ASK, b"2")).body == b"2"


@pytest.mark.parametrize("message", [b"", b"\0", "text", b"\0" * (MAX_FRAME + 1)])
async def test_rubbish_ends_its_own_connection_and_no_other(peer, client, message):
    async with serving(peer) as url:
        assert (await client.ask(url, ASK, b"1")).body == b"1"
        address = url.replace("http", "ws") + PATH
        async with connect(address, additional_headers=HEADERS, max_size=None) as odd:
            with suppress(ConnectionClosed):
                await odd.send(message)
            with pytest.raises(ConnectionClosed):
                await odd.recv()
        assert (await client.ask(url, ASK, b"2")).body == b"2"


async def test_who_asks_very_much_at_once_waits_and_gets_all_of_it(peer, client):
    async with serving(peer) as url:
        bodies = [b"wait %d" % number for number in range(3 * IN_HAND)]
        many = [asyncio.create_task(client.ask(url, ASK, body)) for body in bodies]
        await peer.reached(IN_HAND)
        assert peer.waiting == IN_HAND
        peer.go_on.set()
        assert [frame.body for frame in await asyncio.gather(*many)] == bodies


async def test_a_question_that_is_called_off_disturbs_no_other(peer, client):
    async with serving(peer) as url:
        off = asyncio.create_task(client.ask(url, ASK, b"wait"))
        await peer.reached(1)
        off.cancel()
        peer.go_on.set()
        assert (await client.ask(url, ASK, b"next")).body == b"next"


async def test_a_peer_that_ends_fails_what_was_asked_and_is_asked_again_when_it_is_back(peer, client):
    async with serving(peer) as url:
        late = asyncio.create_task(client.ask(url, ASK, b"wait"))
        await peer.reached(1)
        port = int(url.rpartition(":")[2])
        peer.go_on.set()
        await late
    with pytest.raises(PeerError):
        await client.ask(url, ASK, b"nobody")
    async with serving(peer, port=port) as url:
        assert (await client.ask(url, ASK, b"back")).body == b"back"


def test_a_frame_is_read_as_it_was_written():
    frame = Frame(2**32 - 1, FrameKind.ANSWER, b"body")
    assert Frame.decode(frame.encode()) == frame
