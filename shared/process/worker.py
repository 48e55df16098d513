"""The process around a worker: a Faust app with our components, its commands, its port, its signals.

Faust (and mode below it) gives the life cycle, the signals and the agent on `control.commands`. Hot topics
do not pass through Faust: `shared.streaming.loop` reads them, as a component.
"""

import asyncio
import gc
import signal
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import Any, NoReturn, TypeVar

import faust
import structlog
from fastapi import FastAPI
from faust.types import AppT
from mode import ServiceT

from shared.clock import SystemClock
from shared.errors import ConfigurationError, HeadraceError
from shared.pauses import pauses
from shared.process import installation, logs
from shared.process.commands import Commands, CommandStart, OnCommand
from shared.process.components import Component, ComponentGroup
from shared.process.deadline import StopDeadline
from shared.process.entry import enter_when_there
from shared.process.faust_app import CommandAgent, faust_app
from shared.process.http import Check, HttpServer, health_routes
from shared.process.pause_alerts import PauseAlerts
from shared.settings import Settings

log = structlog.get_logger()

S = TypeVar("S", bound=Settings)
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
YOUNG = 50_000
"""New objects after which those in cycles are looked for: more than a batch is made of. A batch has no cycles
in it, and looking at it again and again, half done, costs a fifth of what is done with it."""
DRAIN = timedelta(seconds=24)
"""Longer than a loop's own drain, shorter than the deadline: the rest is Faust's, to leave its group in."""


class Worker:
    """One worker process: components start in the order added, and stop in reverse."""

    def __init__(self, name: str, settings: Settings, *, port: int) -> None:
        self.name = name
        self.settings = settings
        self.instance = settings.member
        self.api = FastAPI(title=f"Headrace {name}", docs_url=None, redoc_url=None)
        self.server = HttpServer(
            self.api, host=settings.host, port=port, advertise=settings.advertise, settings=settings.http
        )
        self.commands = Commands(name)
        alerts = PauseAlerts(settings, name, pauses, clock=SystemClock())
        first = (self.server, alerts, CommandStart(settings, self.commands))
        self._components = ComponentGroup(first, drain=DRAIN)
        self._checks: dict[str, Check] = {}
        self._started = False
        self._stopping: asyncio.Task[None] | None = None
        self.ready("start", lambda: None if self._started else "still starting")
        self.ready("commands", self.commands.waiting)
        health_routes(self.api, self._checks, pauses)

    def add(self, component: Component) -> None:
        """Run it as a piece of this worker; if it fails, the process stops with a non-zero code."""
        self._components.add(component)

    def ready(self, name: str, check: Check) -> None:
        """Let `/readyz` wait for `check` to return None."""
        self._checks[name] = check

    def command(self, name: str, handler: OnCommand) -> None:
        """Call `handler(arguments)` for each `control.commands` message of that name meant for us."""
        self.commands.add(name, handler)

    async def start(self) -> None:
        """Start the port first (so that `/livez` answers while we wait), then the components."""
        await self._components.start()
        if self._stopping is None:
            self._started = True
            gc.freeze()  # else each collection looks at all that the libraries made, 0.3 s of a core
            gc.set_threshold(YOUNG)
            log.info("worker.started", instance=self.instance, url=self.server.url)

    async def stop(self) -> None:
        """Stop in reverse, within the drain.

        Once: whoever calls later waits for the same end. mode cancels what it waits for, so it is a task.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._started = False
        await self._components.stop()
        log.info("worker.stopped")

    async def wait(self) -> None:
        """Raise what the first failing component raises."""
        await self._components.wait()

    def run(self) -> int:
        """Run until a signal or a failure; return the process's exit code."""
        if find_spec("faust._cython.streams") is None:
            raise ConfigurationError("faust-streaming lacks its Cython extension: install its binary wheel")
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its folder in it, no parents
        self.server.bind()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        build = partial(faust_app, self.settings, self.name, self.commands, loop=loop)
        process = _Process(build, self, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
        code = 0
        failure: BaseException | None = None
        try:
            process.execute_from_commandline()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else EXIT_FAILED
            failure = process.crash_reason or (end.__context__ if code else None)  # Faust's, in its start
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - mode raises what crashed the worker
            failure = error
        return self.exit_code(code, process.failure or failure)

    def exit_code(self, code: int, failure: BaseException | None) -> int:
        """Return the code that a process ends with, and log the failure, if there is one."""
        if failure is None:
            return code
        if isinstance(failure, HeadraceError):
            log.error("worker.failed", error=str(failure), kind=type(failure).__name__)
        else:
            log.error("worker.failed", error=repr(failure), exc_info=failure)
        return EXIT_CONFIGURATION if isinstance(failure, ConfigurationError) else EXIT_FAILED


class _Process(faust.Worker):  # type: ignore[misc]  # Faust is untyped
    """Faust's worker around ours: it has the signals; our components come first and last.

    They start before the app, and stop before it: by the time that Faust leaves its group nothing may be left
    to lose. The app is no child of this process, so that its crash is not ours.
    """

    def __init__(
        self, build: Callable[[], AppT], worker: Worker, **options: Any
    ) -> None:  # Any: Faust's options
        self.failure: BaseException | None = None
        self._worker = worker
        self._agent = CommandAgent(build)
        super().__init__(build(), **options)
        self.spinner = None
        self._deadline = StopDeadline(
            self.loop, exit_code=lambda: worker.exit_code(0, self.failure or self.crash_reason)
        )

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Return nothing that is run as a part of the process."""
        return ()

    def install_signal_handlers(self) -> None:
        """Count from the signal on, also when a batch holds the loop up, whose own handler comes later."""
        super().install_signal_handlers()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._deadline.start())

    async def on_start(self) -> None:
        """Start the components; remember why when they cannot."""
        await super().on_start()
        try:
            await self._worker.start()
        except Exception as error:
            self.failure = error
            raise
        await self._agent.start()
        self.add_future(self._watch())

    async def on_stop(self) -> None:
        """Drain and stop the components, then the app; from now on there is a deadline."""
        self._deadline.start()
        await self._worker.stop()
        await self._agent.stop()
        await super().on_stop()

    async def _watch(self) -> None:
        try:
            await self._worker.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, it stops the process
            self.failure = error
            await self.crash(error)


def run(settings_class: type[S], build: Callable[[S], Worker]) -> None:
    """Load the settings, enter the installation, build the worker, run it, exit with its code."""
    try:
        settings = settings_class.load()
        name = build.__module__.split(".")[1]
        logs.configure(settings.log, worker=name)
        port: int = getattr(settings, name).port
        entered = asyncio.run(enter_when_there(settings, worker=name, port=port))
        if entered is None:  # told to end while it waited
            _leave(0)
        worker = build(entered)
        worker.add(installation.watch(entered))
        _leave(worker.run())
    except ConfigurationError as error:
        log.error("worker.misconfigured", error=str(error))
        raise SystemExit(EXIT_CONFIGURATION) from None


def _leave(code: int) -> NoReturn:
    """End the process.

    The interpreter's last collections would look at all that the libraries ever made, 0.3 s of a core: nearly
    all that a clean stop costs, and on a machine that is short of cores many seconds.
    """
    gc.freeze()
    raise SystemExit(code)
