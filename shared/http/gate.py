"""What stands before an API: who may ask, how many at once, how large a body, and how slow."""

import asyncio
import hmac
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.problem import Refusal

PLACE = "headrace.place"
"""Where the gate leaves the request's place, in the scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """What the requests to the paths that begin with `paths` must keep to."""

    paths: tuple[str, ...]
    concurrency: int
    """Requests that are worked on at once."""
    max_body: int
    """Bytes."""
    smaller: str
    """What to do about a body that is too large."""
    tokens: Sequence[SecretStr] = ()
    """None: everybody may ask."""
    waiting: int = 0
    """Requests that wait for something at once (`RequestPlace.waiting`): they are not counted as worked on,
    nor are those whose body is still coming. 0: both count."""
    per_client: int = 0
    """Requests of one address at once, whatever they do; 0: as many as there may be."""
    body_within: timedelta | None = None
    """So long a body may take to come; None: as long as it likes."""


@dataclass(slots=True)
class _Taken:
    """How many requests there are, by what they do and by the address that they come from."""

    working: int = 0
    waiting: int = 0
    by_client: Counter[str] = field(default_factory=Counter)


class RequestPlace:
    """The place of one request: raises `Refusal` (429) where there is none left for what it is to do."""

    def __init__(self, taken: _Taken, limits: RequestLimits, client: str) -> None:
        self._taken = taken
        self._limits = limits
        self._client = client
        self._working = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count the request until it is answered."""
        limit, by_client = self._limits.per_client, self._taken.by_client
        if limit and by_client[self._client] >= limit:
            raise overloaded(f"{limit} requests of this address are in hand already")
        by_client[self._client] += 1
        try:
            yield
        finally:
            self._rest()
            by_client.subtract((self._client,))
            if not by_client[self._client]:  # addresses come without end
                del by_client[self._client]

    def work(self) -> None:
        """Count the request as worked on, from now on."""
        if not self._working:
            if self._taken.working >= self._limits.concurrency:
                raise overloaded(f"{self._taken.working} requests are in hand already")
            self._taken.working += 1
            self._working = True

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the request as one that waits, and then as worked on again."""
        limit = self._limits.waiting
        if not limit:
            yield
            return
        if self._taken.waiting >= limit:
            raise overloaded(f"{limit} requests wait already")
        self._rest()
        self._taken.waiting += 1
        try:
            yield
        finally:
            self._taken.waiting -= 1
        self.work()

    def _rest(self) -> None:
        self._taken.working -= self._working
        self._working = False


def place_of(request: Request) -> RequestPlace:
    """Return the place of a request that has come through the gate."""
    place: RequestPlace = request.scope[PLACE]
    return place


class Gate:
    """Refuses, before any work, what is not allowed (401), too much (429), too large (413), too slow (408).

    What is not on its paths, such as health, metrics and the description of an API, is always answered.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app = app
        self._limits = limits
        self._taken = _Taken()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http" or not scope["path"].startswith(self._limits.paths):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        place = RequestPlace(self._taken, self._limits, request.client.host if request.client else "")
        body = _Body(receive)
        try:
            self._admit(request)
            with place.held():
                if not self._limits.waiting:
                    place.work()
                await self._read(body)
                place.work()
                await self._app({**scope, PLACE: place}, body, send)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)

    def _admit(self, request: Request) -> None:
        limits = self._limits
        if not authorised(request.headers.get("authorization", ""), limits.tokens):
            raise no_token("this API wants a bearer token")
        declared = request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > limits.max_body:
            raise too_large(limits)

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
