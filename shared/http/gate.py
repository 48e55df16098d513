"""What stands before an API: who may ask, how many at once, how large a body, and how slow."""

import asyncio
import hmac
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.problem import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """What the requests to the paths that begin with `paths` must keep to."""

    paths: tuple[str, ...]
    concurrency: int
    """Requests in hand at once."""
    max_body: int
    """Bytes."""
    smaller: str
    """What to do about a body that is too large."""
    tokens: Sequence[SecretStr] = ()
    """None: everybody may ask."""
    per_client: int = 0
    """Requests in hand at once of one address; 0: as many as there may be."""
    body_within: timedelta | None = None
    """So long a body may take to come; None: as long as it likes."""


class Gate:
    """Refuses, before any work, what is not allowed (401), too much (429), too large (413), too slow (408).

    What is not on its paths, such as health, metrics and the description of an API, is always answered.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app = app
        self._limits = limits
        self._in_hand: Counter[str] = Counter()
        """By address."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http" or not scope["path"].startswith(self._limits.paths):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        client = request.client.host if request.client else ""
        body = _Body(receive)
        try:
            self._admit(request, client)
            self._in_hand[client] += 1
            try:
                await self._read(body)
                await self._app(scope, body, send)
            finally:
                self._in_hand -= Counter((client,))  # what is at zero goes: addresses come without end
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)

    def _admit(self, request: Request, client: str) -> None:
        limits = self._limits
        if not authorised(request.headers.get("authorization", ""), limits.tokens):
            raise no_token("this API wants a bearer token")
        declared = request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > limits.max_body:
            raise too_large(limits)
        if self._in_hand.total() >= limits.concurrency:
            raise overloaded(f"{self._in_hand.total()} requests are in hand already")
        if limits.per_client and self._in_hand[client] >= limits.per_client:
            raise overloaded(f"{limits.per_client} requests of this address are in hand already")

    async def _read(self, body: "_Body") -> None:
        within = self._limits.body_within
        try:
            async with asyncio.timeout(within.total_seconds() if within else None):
                await body.read(self._limits)
        except TimeoutError:
            raise Refusal(
                408,
                "body.too_slow",
                f"the body did not come within {within.total_seconds() if within else 0:g} s",
                fix="send the request again",
                headers={"Connection": "close"},
            ) from None


class _Body:
    """Reads a whole body of limited size, then gives it again to the application behind."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()

    async def read(self, limits: RequestLimits) -> None:
        """Take the body in; raises `Refusal` as soon as it is too large."""
        size, more = 0, True
        while more:
            message = await self._receive()
            self._messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > limits.max_body:
                raise too_large(limits)

    async def __call__(self) -> Message:
        """Return the next message (ASGI)."""
        return self._messages.popleft() if self._messages else await self._receive()


def too_large(limits: RequestLimits) -> Refusal:
    """Return the refusal of a body that is too large."""
    return Refusal(
        413, "body.too_large", f"the body has more than {limits.max_body} bytes", fix=limits.smaller
    )


def overloaded(detail: str) -> Refusal:
    """Return the refusal of what is too much at once."""
    return Refusal(
        429, "overloaded", detail, fix="ask again after `Retry-After` seconds", headers={"Retry-After": "1"}
    )


def no_token(detail: str) -> Refusal:
    """Return the refusal of whoever has no token, or a wrong one."""
    return Refusal(
        401,
        "token.missing",
        detail,
        fix="send the header `Authorization: Bearer TOKEN`",
        headers={"WWW-Authenticate": "Bearer"},
    )


def authorised(header: str, tokens: Sequence[SecretStr]) -> bool:
    """Say whether the header holds one of the tokens; takes the same time whichever it is not."""
    scheme, _, given = header.partition(" ")
    matches = [
        hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode()) for token in tokens
    ]
    return not tokens or (scheme.lower() == "bearer" and any(matches))
