"""What comes before a worker is wired: it waits for its installation, alive but not ready, on its port."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from fastapi import FastAPI

from shared.clock import SystemClock
from shared.errors import TransientError
from shared.pauses import pauses
from shared.process.deadline import StopDeadline
from shared.process.http import HttpServer, health_routes
from shared.process.installation import enter
from shared.process.pause_alerts import PauseAlerts
from shared.settings import Settings

log = structlog.get_logger()
S = TypeVar("S", bound=Settings)
WAIT_SECONDS = 3.0
SILENT_SECONDS = 1.0
"""For a wait as short as this no port is opened."""


async def enter_when_there(settings: S, *, worker: str, port: int) -> S | None:
    """Return the installation's settings once broker, topics and Redis are there; None: a signal came first.

    The kind of worker is who waits, in an alert as for any other pause. Raises `ConfigurationError` when the
    namespace of Redis is another installation's.
    """
    reason = ["waiting for broker and Redis"]
    entering = asyncio.create_task(_enter(settings, reason))
    with _cancelled_by_signals(entering):
        done, _ = await asyncio.wait({entering}, timeout=SILENT_SECONDS)
        if not done:
            alerts = PauseAlerts(settings, worker, pauses, clock=SystemClock())
            await _serve_until(entering, settings, reason, port=port, alerts=alerts)
    return None if entering.cancelled() else entering.result()


async def _enter(settings: S, reason: list[str]) -> S:
    while True:
        try:
            entered = await enter(settings)
        except TransientError as error:
            reason[:] = [str(error)]
            pauses.begin(reason, "start", error)
            log.warning("installation.waiting", reason=str(error))
            await asyncio.sleep(WAIT_SECONDS)
        else:
            pauses.end(reason)
            return entered


async def _serve_until(
    entering: "asyncio.Task[S]", settings: Settings, reason: list[str], *, port: int, alerts: PauseAlerts
) -> None:
    api = FastAPI(docs_url=None, redoc_url=None)
    health_routes(api, {"installation": lambda: reason[0]}, pauses)
    server = HttpServer(api, host=settings.host, port=port, advertise=settings.advertise)
    await server.start()
    await alerts.start()
    try:
        await asyncio.wait({entering})
    finally:
        await alerts.stop()
        await server.stop()


@contextmanager
def _cancelled_by_signals(task: "asyncio.Task[S]") -> Iterator[None]:
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    deadline = StopDeadline(loop, exit_code=lambda: 0)

    def stop() -> None:
        deadline.start()
        task.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
