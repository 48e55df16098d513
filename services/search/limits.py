"""What stands before the API: who may ask, how many at once, how much in one body."""

import hmac
from collections import deque
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.search.problem import Refusal
from services.search.settings import SearchSettings

GUARDED = ("/search", "/similar", "/why", "/product/", "/fields")


class Gate:
    """Refuses what is not allowed (401), too much at once (429) or too large (413), before any work.

    Health, metrics and the description of the API are always answered.
    """

    def __init__(self, app: ASGIApp, settings: SearchSettings) -> None:
        self._app = app
        self._settings = settings
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        try:
            self._admit(Request(scope))
            self._in_hand += 1
            try:
                await body.read(self._settings.max_body)
                await self._app(scope, body, send)
            finally:
                self._in_hand -= 1
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)

    def _admit(self, request: Request) -> None:
        if not authorised(request.headers.get("authorization", ""), self._settings.tokens):
            raise Refusal(
                401,
                "token.missing",
                "this search API wants a bearer token",
                fix="send the header `Authorization: Bearer TOKEN`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        declared = request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > self._settings.max_body:
            raise too_large(self._settings.max_body)
        if self._in_hand >= self._settings.concurrency:
            raise Refusal(
                429,
                "overloaded",
                f"{self._in_hand} requests are in hand already",
                fix="ask again after `Retry-After` seconds",
                headers={"Retry-After": "1"},
            )


class _Body:
    """Reads a whole body of limited size, then gives it again to the application behind."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()

    async def read(self, limit: int) -> None:
        """Take the body in; raises `Refusal` as soon as it is too large."""
        size, more = 0, True
        while more:
            message = await self._receive()
            self._messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > limit:
                raise too_large(limit)

    async def __call__(self) -> Message:
        """Return the next message (ASGI)."""
        return self._messages.popleft() if self._messages else await self._receive()


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body that is too large."""
    return Refusal(
        413,
        "body.too_large",
        f"the body has more than {limit} bytes",
        fix="send a shorter query or fewer filters",
    )


def authorised(header: str, tokens: Sequence[SecretStr]) -> bool:
    """Say whether the header holds one of the tokens; takes the same time whichever it is not."""
    scheme, _, given = header.partition(" ")
    matches = [
        hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode()) for token in tokens
    ]
    return not tokens or (scheme.lower() == "bearer" and any(matches))
