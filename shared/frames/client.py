"""Asks in frames: one connection a peer, kept open, made when it is first needed and again when it broke."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from itertools import count

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from shared.frames.protocol import MAX_FRAME, PATH, Frame

log = structlog.get_logger()

OPEN_SECONDS = 5.0


class PeerError(Exception):
    """The peer could not be asked: it is not there, does not let us in, or went away before it answered."""


class FrameClient:
    """Asks peers by the URL of their HTTP port."""

    def __init__(self, *, headers: Mapping[str, str] | None = None) -> None:
        self._headers = headers or {}
        self._peers: dict[str, asyncio.Task[_Peer]] = {}

    async def ask(self, url: str, kind: int, body: bytes) -> Frame:
        """Return the answer; raises `PeerError`. Called off, the answer is not waited for."""
        peer = await self._peer(url)
        return await peer.ask(kind, body)

    async def stop(self) -> None:
        """Close every connection."""
        for opening in self._peers.values():
            opening.cancel()
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                await opening.result().close()
        self._peers.clear()

    async def _peer(self, url: str) -> "_Peer":
        opening = self._peers.get(url)
        if opening is None or (opening.done() and not _is_open(opening)):
            opening = self._peers[url] = asyncio.create_task(self._opened(url))
        return await asyncio.shield(opening)

    async def _opened(self, url: str) -> "_Peer":
        address = url.replace("http", "ws", 1) + PATH
        try:
            connection = await connect(
                address,
                additional_headers=self._headers,
                compression=None,
                max_size=MAX_FRAME,
                open_timeout=OPEN_SECONDS,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise PeerError(f"{type(error).__name__}: {error}") from error
        return _Peer(connection)


class _Peer:
    """A connection, and who waits for which answer."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def is_open(self) -> bool:
        """Whether it may be asked."""
        return not self._reading.done()

    async def ask(self, kind: int, body: bytes) -> Frame:
        """Return the answer; raises `PeerError`."""
        number = next(self._numbers) & 0xFFFFFFFF
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._connection.send(Frame(number, kind, body).encode())
            frame: Frame = await answer
        except WebSocketException as error:
            raise PeerError(f"{type(error).__name__}: {error}") from error
        finally:
            self._waiting.pop(number, None)
        return frame

    async def close(self) -> None:
        """Let go of it."""
        self._reading.cancel()
        await self._connection.close()

    async def _read(self) -> None:
        reason = "the connection was closed"
        try:
            async for message in self._connection:
                frame = Frame.decode(message if isinstance(message, bytes) else message.encode())
                waiting = self._waiting.get(frame.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
        except (WebSocketException, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(PeerError(reason))
            with suppress(WebSocketException):
                await self._connection.close()


def _is_open(opening: "asyncio.Task[_Peer]") -> bool:
    return not opening.cancelled() and opening.exception() is None and opening.result().is_open
