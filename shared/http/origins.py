"""Which web pages may call an API: cross-origin resource sharing (Fetch standard) by a list of origins."""

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.http.problem import Refusal
from shared.settings import LOOPBACK

THIS_MACHINE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
"""Pages that are served on this machine, on whatever port."""
REMEMBERED_SECONDS = 7200
"""How long a browser may remember what it was told of an origin; Chromium does so for two hours at most."""


class CrossOrigin:
    """Lets pages of these origins call the paths, and read the answers.

    A worker that listens on the loopback alone also answers the pages that this machine serves. With `refuse`
    a request from any other page is refused (403) before it has an effect; else that page cannot read the
    answer. Nothing is decided by cookies; they are allowed because `navigator.sendBeacon` always sends them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: tuple[str, ...],
        host: str,
        paths: tuple[str, ...],
        refuse: bool = False,
    ) -> None:
        self._app = app
        self._paths = paths
        self._refuse = refuse
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_origin_regex=THIS_MACHINE if host in LOOPBACK else None,
            allow_methods=("GET", "POST"),
            allow_headers=("content-type", "authorization"),
            allow_credentials=True,
            expose_headers=("Retry-After",),
            max_age=REMEMBERED_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http" or not scope["path"].startswith(self._paths):
            await self._app(scope, receive, send)
            return
        origin = Request(scope).headers.get("origin")
        if self._refuse and origin is not None and not self._cors.is_allowed_origin(origin):
            await _refusal().response()(scope, receive, send)
            return
        await self._cors(scope, receive, send)


def _refusal() -> Refusal:
    return Refusal(
        403,
        "origin.refused",
        "pages of this origin may not call this API",
        fix="list the shop's origin, such as https://shop.example, in the setting `origins` of this worker",
    )
