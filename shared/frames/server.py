"""Answers frames: a route of a worker's HTTP port that becomes a connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from pydantic import SecretStr
from starlette.websockets import WebSocket, WebSocketDisconnect

from shared.frames.protocol import Frame, FrameKind
from shared.http.gate import authorised

log = structlog.get_logger()

Answering = Callable[[bytes], Awaitable[bytes]]
"""Answers the body of a question; raises `FrameRefusal`, or `ValueError` when it does not understand it."""
IN_HAND = 64
"""Questions of one connection that are answered at once; whoever asks more waits to be read."""
POLICY, TOO_MUCH = 1008, 1013
"""Close codes of RFC 6455: not allowed, try again later."""


class FrameRefusal(Exception):  # noqa: N818  an answer, though not the one that was asked for
    """A question is not answered; `body` says why, in words of those who ask."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body[:200].decode(errors="replace"))
        self.body = body


class FrameService:
    """Answers the questions of every connection, each in a task of its own."""

    def __init__(
        self, answering: Mapping[int, Answering], *, tokens: Sequence[SecretStr] = (), connections: int = 256
    ) -> None:
        self._answering = answering
        self._tokens = tokens
        self._connections = connections
        self._open = 0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends; one without a token, or one too many, is refused."""
        if not authorised(socket.headers.get("authorization", ""), self._tokens):
            await socket.close(POLICY, "a token is wanted")
            return
        if self._open >= self._connections:
            await socket.close(TOO_MUCH, "there are too many connections")
            return
        await socket.accept()
        self._open += 1
        try:
            await self._read(socket)
        except WebSocketDisconnect:
            return
        finally:
            self._open -= 1

    async def _read(self, socket: WebSocket) -> None:
        room = asyncio.Semaphore(IN_HAND)
        async with asyncio.TaskGroup() as answers:
            while True:
                await room.acquire()
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                try:
                    frame = Frame.decode(message.get("bytes") or b"")
                except ValueError as error:
                    await socket.close(POLICY, str(error))
                    return
                answers.create_task(self._answer(socket, frame, room))

    async def _answer(self, socket: WebSocket, frame: Frame, room: asyncio.Semaphore) -> None:
        try:
            kind, body = await self._answered(frame)
            await socket.send_bytes(Frame(frame.number, kind, body).encode())
        except (WebSocketDisconnect, RuntimeError):  # whoever asked is gone
            return
        finally:
            room.release()

    async def _answered(self, frame: Frame) -> tuple[FrameKind, bytes]:
        answering = self._answering.get(frame.kind)
        if answering is None:
            return FrameKind.MALFORMED, f"there is no question of kind {frame.kind}".encode()
        try:
            return FrameKind.ANSWER, await answering(frame.body)
        except FrameRefusal as refusal:
            return FrameKind.REFUSAL, refusal.body
        except ValueError as error:  # what msgspec and pydantic raise, too
            return FrameKind.MALFORMED, str(error).encode()
