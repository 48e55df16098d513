"""One process serves many generations: a component for each, started and stopped as `rollout.v1` says.

The live generation's failure stops the process, like any component's. Another one's never does. What can be
tried again is, for so long as `Persistence` says; then, and at once when its model is refused, it is given up
and said to be (`shared.generations.status`), for the rollout worker to hear. It is tried no more until this
process starts again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import structlog

from shared.errors import AbsentError, ConfigurationError, HeadraceError, TransientError
from shared.generations.rollout_log import RolloutLog
from shared.generations.state import Generation, Stage
from shared.generations.status import GenerationStatus, GenerationStatusBoard
from shared.process.components import Component, IntakeComponent, WatchedComponent
from shared.process.periodic import Every
from shared.settings import GenerationSettings

log = structlog.get_logger()

P = TypeVar("P", bound=Component)
TICK = timedelta(milliseconds=250)
REPORT = timedelta(seconds=1)


class Persistence(NamedTuple):
    """How often, and for how long, a generation that fails is tried again."""

    pause: timedelta = timedelta(seconds=5)
    """Between two attempts."""
    patience: timedelta = GenerationSettings().patience
    """From the first of its failures on: a share that holds its model may be mounted late. What is away as a
    whole (a broker, Redis) is waited for without an end, and ends no patience."""
    recovered: timedelta = timedelta(minutes=1)
    """What ran for so long has worked: its next failure is a first one."""


PERSISTENCE = Persistence()


@runtime_checkable
class Preparing(Protocol):
    """A component that works some time after its start."""

    def missing(self) -> str | None:
        """Return what it still waits for; None: nothing."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A component that works differently for the live generation."""

    def at(self, stage: Stage) -> None:
        """Know which stage the generation is at."""
        ...


class _Runner(Generic[P]):
    """One generation's component: opened, run, and opened again when it failed."""

    def __init__(
        self, generation: Generation, open_component: Callable[[Generation], P], persistence: Persistence
    ) -> None:
        self.generation = generation
        self.component: P | None = None
        self.failure: Exception | None = None
        self.is_given_up = False
        self._open = open_component
        self._persistence = persistence
        self._failing_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    def at(self, generation: Generation) -> None:
        """Know the generation as it is now."""
        self.generation = generation
        if isinstance(self.component, Staged):
            self.component.at(generation.stage)

    async def open(self) -> None:
        """Start the component; raises what keeps it from starting, with nothing left running."""
        component = self._open(self.generation)
        try:
            await component.start()
        except BaseException:
            await component.stop()
            raise
        self.component = component
        self.failure = None

    def keep(self) -> None:
        """Run it in the background from now on."""
        self._task = asyncio.create_task(self._run(), name=f"generation {self.generation.name}")

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._close()

    async def _run(self) -> None:
        while True:
            began = _now()
            try:
                if self.component is None:
                    await self.open()
                await self._ended()
                break
            except Exception as error:  # noqa: BLE001 - who is not live must not take the process down
                self.failure = error
                log.error("generation.failed", generation=self.generation.name, error=repr(error))
                await self._close()
                self.is_given_up = self._is_hopeless(error, began)
            if self.is_given_up:
                log.error("generation.given_up", generation=self.generation.name, error=str(self.failure))
                break
            await asyncio.sleep(self._persistence.pause.total_seconds())

    def _is_hopeless(self, error: Exception, began: float) -> bool:
        """Whether to try no more, after a failure of what began then."""
        now, persistence = _now(), self._persistence
        if now - began >= persistence.recovered.total_seconds() or isinstance(error, TransientError):
            self._failing_since = None
        if isinstance(error, TransientError):
            return False
        if isinstance(error, ConfigurationError) and not isinstance(error, AbsentError):
            return True
        self._failing_since = began if self._failing_since is None else self._failing_since
        return now - self._failing_since >= persistence.patience.total_seconds()

    async def _ended(self) -> None:
        if isinstance(self.component, WatchedComponent):
            await self.component.wait()

    def status(self) -> GenerationStatus:
        """Return how the generation is getting on."""
        name = self.generation.name
        if self.failure is not None:
            reason = str(self.failure) or repr(self.failure)
            if not self.is_given_up and not isinstance(self.failure, TransientError):
                minutes = self._persistence.patience / timedelta(minutes=1)
                reason = f"{reason} (it is tried again; given up after {minutes:g} minutes)"
            refused = self.is_given_up
            return GenerationStatus(generation=name, status="failed", reason=reason, refused=refused)
        if self.component is None:
            return GenerationStatus(generation=name, status="starting")
        missing = self.component.missing() if isinstance(self.component, Preparing) else None
        return GenerationStatus(
            generation=name, status="starting" if missing else "running", reason=missing or ""
        )

    async def _close(self) -> None:
        component, self.component = self.component, None
        try:
            if component is not None:
                await component.stop()
        except (HeadraceError, OSError) as error:
            log.error("component.stop_failed", component=type(component).__name__, error=repr(error))


class GenerationSupervisor(Generic[P]):
    """The component of a worker that runs one for each generation that is not retired.

    `remove` clears away what a retired one left here; it is called at least once, and may be again.
    """

    def __init__(
        self,
        rollouts: RolloutLog,
        open_component: Callable[[Generation], P],
        statuses: GenerationStatusBoard,
        *,
        remove: Callable[[Generation], Awaitable[None]] | None = None,
        persistence: Persistence = PERSISTENCE,
    ) -> None:
        self._rollouts = rollouts
        self._open = open_component
        self._statuses = statuses
        self._remove = remove
        self._persistence = persistence
        self._runners: dict[str, _Runner[P]] = {}
        self._removed: set[str] = set()
        self._failure: asyncio.Future[None] | None = None
        self._every = (Every("generations", TICK, self.tick), Every("statuses", REPORT, self._report))

    @property
    def running(self) -> dict[str, P]:
        """The components that were started, by generation."""
        return {
            name: runner.component
            for name, runner in list(self._runners.items())
            if runner.component is not None
        }

    async def start(self) -> None:
        """Start the live generation; returns when it works. The others follow in the background."""
        self._failure = asyncio.get_running_loop().create_future()
        generations = self._rollouts.generations
        live = _Runner(generations.known[generations.live or ""], self._open, self._persistence)
        await live.open()
        self._runners[live.generation.name] = live
        live.keep()
        for every in self._every:
            await every.start()

    def cease(self) -> None:
        """Let no component take anything new in."""
        for component in self.running.values():
            if isinstance(component, IntakeComponent):
                component.cease()

    async def stop(self) -> None:
        """Stop every component."""
        for every in self._every:
            await every.stop()
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))
        try:
            await self._statuses.report(())
        except TransientError as error:
            log.warning("statuses.left", error=str(error))
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    async def wait(self) -> None:
        """Return when stopped; raise what made the live generation fail."""
        if self._failure is not None:
            waits = [asyncio.shield(self._failure), *(every.wait() for every in self._every)]
            await asyncio.gather(*waits)

    async def tick(self) -> None:
        """Start and stop what the state says now; fail when the live generation has."""
        generations = self._rollouts.generations
        for name in sorted(self._runners.keys() - generations.served.keys()):
            await self._runners.pop(name).stop()
            log.info("generation.stopped", generation=name)
        for name, generation in generations.served.items():
            if name not in self._runners:
                self._runners[name] = _Runner(generation, self._open, self._persistence)
                self._runners[name].keep()
            self._runners[name].at(generation)
        live = self._runners[generations.live or ""]
        if live.failure is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(live.failure)
        for generation in generations.of("retired"):
            await self._clear(generation)

    async def _clear(self, generation: Generation) -> None:
        if self._remove is not None and generation.name not in self._removed:
            await self._remove(generation)
            self._removed.add(generation.name)

    async def _report(self) -> None:
        await self._statuses.report([runner.status() for runner in self._runners.values()])


def _now() -> float:
    return asyncio.get_running_loop().time()
