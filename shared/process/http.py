"""A worker's own port: `/metrics`, `/livez`, `/readyz`, and whatever API the worker adds."""

import asyncio
import resource
import socket
from collections.abc import Callable, Mapping
from functools import partial

import structlog
import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.errors import ConfigurationError
from shared.frames.protocol import MAX_FRAME
from shared.http.connections import ConnectionTable, GuardedProtocol
from shared.pauses import Pauses
from shared.settings import EVERYWHERE, HttpSettings

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than at any client of ours (httpx: 5 s), so that none of
them sends a request into a connection that is being closed."""

Check = Callable[[], str | None]
"""Returns None when all is well, else what is missing."""


def health_routes(api: FastAPI, checks: Mapping[str, Check], pauses: Pauses) -> None:
    """Add `/metrics`, `/livez` (the event loop runs) and `/readyz` (every check passes).

    What is waited for is said in `/readyz` and makes nobody unready: what reads goes on.
    """

    @api.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @api.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @api.get("/readyz", include_in_schema=False)
    async def readyz(response: Response) -> dict[str, object]:
        reasons = {name: reason for name, check in checks.items() if (reason := check()) is not None}
        response.status_code = 503 if reasons else 200
        waiting = {cause: str(pause.error) for cause, pause in pauses.by_cause().items()}
        return {"status": "waiting" if reasons else "ready", "reasons": reasons, "paused": waiting}


def _reachable(host: str) -> str:
    """Return an address of this machine for one that means every address."""
    if host not in EVERYWHERE:
        return f"[{host}]" if ":" in host else host
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return socket.gethostname()


def within_files(settings: HttpSettings) -> HttpSettings:
    """Return the settings with no more connections than half of the files that this process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = settings.connections if files == resource.RLIM_INFINITY else max(8, files // 2)
    return settings.model_copy(update={"connections": min(settings.connections, most)})


class HttpServer:
    """Serves one FastAPI app on `host:port` inside the running event loop; port 0 takes a free one."""

    def __init__(
        self,
        api: FastAPI,
        *,
        host: str,
        port: int,
        advertise: str = "",
        settings: HttpSettings = HttpSettings(),  # noqa: B008 - it is frozen
    ) -> None:
        self._api = api
        self._connections = ConnectionTable(within_files(settings))
        self._host = host
        self._advertised = advertise or _reachable(host)
        self._port = port
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where others reach it, once bound."""
        return f"http://{self._advertised}:{self._port}"

    def bind(self) -> socket.socket:
        """Take the port; raises `ConfigurationError` when another process has it."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # Named, not 0: asyncio turns Nagle's algorithm off only on connections of a socket that says TCP.
        # With it on, the end of an answer waits for the peer's delayed acknowledgement, some 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            raise ConfigurationError(
                f"cannot listen on {self._host}:{self._port} ({error.strerror}): "
                "stop what runs there, or set another port"
            ) from error
        self._port = listener.getsockname()[1]
        self._socket = listener
        return listener

    async def start(self) -> None:
        """Serve; returns when requests are answered."""
        listener = self._socket or self.bind()
        config = uvicorn.Config(
            self._api,
            http=partial(GuardedProtocol, table=self._connections),  # type: ignore[arg-type]  # it is called
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=MAX_FRAME,
            ws_per_message_deflate=False,
            proxy_headers=False,  # who asks is who is connected, unless a worker knows its proxies
            timeout_graceful_shutdown=5,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        # Signals belong to the worker, so not `serve()`, which would catch them.
        self._task = asyncio.create_task(self._server._serve(sockets=[listener]))  # noqa: SLF001
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        log.info("http.listening", url=self.url)

    async def stop(self) -> None:
        """Finish the requests in hand and close the port."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self) -> None:
        """Return when it was stopped; raise what made it fail."""
        if self._task is not None:
            await asyncio.shield(self._task)
