"""The process around a worker: a Faust app with our parts, its commands, its port, its signals.

Faust (and mode below it) gives the life cycle, the signals, the supervised services and the agent on
`control.commands`. Hot topics do not pass through Faust: `shared.loop` reads them, as a part.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar, runtime_checkable

import faust
import stamina
import structlog
from fastapi import FastAPI
from faust.types import AppT, StreamT
from mode import Service

from schemas.control import Command
from shared import logs
from shared.adapters.broker_log import BrokerLog
from shared.adapters.kafka import connection, wait_for_broker
from shared.adapters.transport import App
from shared.commands import Commands, OnCommand
from shared.errors import ConfigurationError, HeadraceError, TransientError
from shared.http import Check, HttpServer, health_routes
from shared.records import Partition
from shared.settings import Settings

log = structlog.get_logger()

S = TypeVar("S", bound=Settings)
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
DRAIN = timedelta(seconds=24)
"""Longer than a loop's own drain; with `FAREWELL` shorter than the 30 s after which an operator gives up."""
FAREWELL = timedelta(seconds=5)
"""What Faust gets to stop in when every part has. By then nothing is left to lose, and its consumer was
seen to wait for ever."""
LEAST_SECONDS = 1.0
"""What a part gets to stop in although those before it used the time up."""


class Part(Protocol):
    """Something a worker runs."""

    async def start(self) -> None:
        """Begin; returns when it works."""
        ...

    async def stop(self) -> None:
        """End; returns when everything in hand is safe."""
        ...


@runtime_checkable
class Failing(Protocol):
    """A part that can fail after it was started."""

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        ...


class Worker:
    """One worker process: parts start in the order added, and stop in reverse."""

    def __init__(self, name: str, settings: Settings, *, port: int) -> None:
        self.name = name
        self.settings = settings
        self.instance = settings.member
        self.api = FastAPI(title=f"Headrace {name}", docs_url=None, redoc_url=None)
        self.server = HttpServer(self.api, host=settings.host, port=port, advertise=settings.advertise)
        self._parts: list[Part] = []
        self._checks: dict[str, Check] = {}
        self.commands = Commands(name)
        self._started = False
        self._stopping: asyncio.Task[None] | None = None
        self.ready("start", lambda: None if self._started else "still starting")
        self.ready("commands", self.commands.waiting)
        health_routes(self.api, self._checks)

    def add(self, part: Part) -> None:
        """Run `part` as a piece of this worker; if it fails, the process stops with a non-zero code."""
        self._parts.append(part)

    def ready(self, name: str, check: Check) -> None:
        """Let `/readyz` wait for `check` to return None."""
        self._checks[name] = check

    def command(self, name: str, handler: OnCommand) -> None:
        """Call `handler(arguments)` for each `control.commands` message of that name meant for us."""
        self.commands.add(name, handler)

    async def start_parts(self) -> None:
        """Start the port first (so that `/livez` answers while we wait), then the parts."""
        await self.server.start()
        self.commands.begin(await self._ends_of_commands())
        for part in self._parts:
            if self._stopping is not None:
                return
            await part.start()
        self._started = True
        log.info("worker.started", instance=self.instance, url=self.server.url)

    async def _ends_of_commands(self) -> dict[int, int]:
        """Wait for the broker, and return where the commands end: what comes later is for this process."""
        edges = BrokerLog(self.settings)
        async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=None):
            with attempt:
                counts = await wait_for_broker(self.settings, [Command.topic])
                await edges.start()
                try:
                    numbers = range(counts[Command.topic])
                    return {n: (await edges.edges(Partition(Command.topic, n)))[1] for n in numbers}
                finally:
                    await edges.stop()
        raise AssertionError("a retry without end has ended")

    async def stop_parts(self) -> None:
        """Stop in reverse, within the drain; a part that cannot stop does not keep the others from it.

        Once: whoever calls later waits for the same end. mode cancels what it waits for, so it is a task.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop_parts())
        await asyncio.shield(self._stopping)

    async def _stop_parts(self) -> None:
        self._started = False
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN.total_seconds()
        for part in (*reversed(self._parts), self.server):
            try:
                async with asyncio.timeout_at(max(end, loop.time() + LEAST_SECONDS)):
                    await part.stop()
            except TimeoutError:  # a server that is away, say: what was not done is done after the restart
                log.error("part.stop_cut", part=type(part).__name__)
            except Exception as error:
                log.exception("part.stop_failed", part=type(part).__name__, error=repr(error))
        log.info("worker.stopped")

    async def watch(self) -> None:
        """Raise what the first failing part raises."""
        waits = [
            asyncio.ensure_future(part.wait())
            for part in (*self._parts, self.server)
            if isinstance(part, Failing)
        ]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()

    def run(self) -> int:
        """Run until a signal or a failure; return the process's exit code."""
        if find_spec("faust._cython.streams") is None:
            raise ConfigurationError("faust-streaming lacks its Cython extension: install its binary wheel")
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its folder in it, no parents
        self.server.bind()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        root = _Root(self, loop=loop)
        app = _faust_app(self, loop)
        app.stop_first = root.stop_first
        process = faust.Worker(
            app,
            root,
            loop=loop,
            quiet=True,
            override_logging=False,
            redirect_stdouts=False,
        )
        process.spinner = None
        code, failure = 0, None
        try:
            process.execute_from_commandline()
        except SystemExit as end:
            code, failure = end.code if isinstance(end.code, int) else EXIT_FAILED, process.crash_reason
        except Exception as error:  # noqa: BLE001 - mode raises what crashed the worker
            failure = error
        return self.exit_code(code, root.failure or failure)

    def exit_code(self, code: int, failure: BaseException | None) -> int:
        """Return the code that a process ends with, and log the failure, if there is one."""
        if failure is None:
            return code
        if isinstance(failure, HeadraceError):
            log.error("worker.failed", error=str(failure), kind=type(failure).__name__)
        else:
            log.error("worker.failed", error=repr(failure), exc_info=failure)
        return EXIT_CONFIGURATION if isinstance(failure, ConfigurationError) else EXIT_FAILED


class _Root(Service):  # type: ignore[misc]  # mode is untyped
    """The parts of a worker as one supervised service."""

    abstract = False
    logger = logging.getLogger("mode.parts")

    def __init__(self, worker: Worker, **options: Any) -> None:  # Any: mode's options
        self.failure: BaseException | None = None
        self._worker = worker
        self._end: threading.Timer | None = None
        super().__init__(**options)

    async def on_start(self) -> None:
        """Start the parts; remember why when they cannot."""
        try:
            await self._worker.start_parts()
        except Exception as error:
            self.failure = error
            raise
        self.add_future(self._watch())

    async def stop_first(self) -> None:
        """Drain and stop the parts; the process ends a little later, whatever Faust does."""
        self._end_after(DRAIN + FAREWELL)
        await self._worker.stop_parts()
        self._end_after(FAREWELL)

    async def on_stop(self) -> None:
        """Wait until the parts have stopped."""
        await self._worker.stop_parts()

    def _end_after(self, span: timedelta) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = threading.Timer(span.total_seconds(), self._exit)
        self._end.daemon = True
        self._end.start()

    def _exit(self) -> None:
        log.warning("worker.cut", why="Faust did not stop")
        code = self._worker.exit_code(0, self.failure)
        sys.stdout.flush()
        os._exit(code)

    async def _watch(self) -> None:
        try:
            await self._worker.watch()
        except Exception as error:  # noqa: BLE001 - whatever it is, it stops the process
            self.failure = error
            await self.crash(error)


def _faust_app(worker: Worker, loop: asyncio.AbstractEventLoop) -> AppT:
    """Return the Faust app: no tables, no web server, one agent on the commands, acked after the effect."""
    settings = worker.settings
    reach = connection(settings)
    credentials = _credentials(reach)
    app = App(
        f"{settings.namespace}-{worker.name}-{worker.instance}",
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        loop=loop,
        web_enabled=False,
        store="memory://",
        datadir=settings.data_dir / "faust",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_session_timeout=10,
        broker_heartbeat_interval=3,
        consumer_auto_offset_reset="earliest",  # `Commands` knows which of them are for this process
        worker_redirect_stdouts=False,
        **({"broker_credentials": credentials} if credentials else {}),
    )
    commands = app.topic(
        settings.topic_prefix + Command.topic,
        key_serializer="raw",
        value_serializer="raw",
        value_type=bytes,
    )

    async def obey(stream: StreamT) -> None:
        async for event in stream.noack().events():
            at = event.message
            await worker.commands.take(event.value, partition=at.partition, offset=at.offset)
            event.ack()

    app.agent(commands, concurrency=1, name=f"{worker.name}.commands")(obey)
    return app


def _credentials(reach: Mapping[str, Any]) -> Any:  # Any: Faust's credentials have no common type
    context = reach.get("ssl_context")
    if context is None:
        return None
    if "sasl_mechanism" in reach:
        return faust.SASLCredentials(
            username=reach["sasl_plain_username"],
            password=reach["sasl_plain_password"],
            mechanism=reach["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context)


def run(settings_class: type[S], build: Callable[[S], Worker]) -> None:
    """Load the settings, build the worker, run it, exit with its code (what a `__main__` calls)."""
    try:
        settings = settings_class.load()
        name = build.__module__.split(".")[1]
        logs.configure(settings.log, worker=name)
        raise SystemExit(build(settings).run())
    except ConfigurationError as error:
        log.error("worker.misconfigured", error=str(error))
        raise SystemExit(EXIT_CONFIGURATION) from None
