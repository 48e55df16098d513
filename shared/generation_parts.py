"""One process serves many generations: a part for each of them, started and stopped as `rollout.v1` says.

The live generation's failure stops the process, like any part's. Another one's never does: what can be
tried again is, and a model that is refused is said so (`shared.standing`), for the rollout worker to hear.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, Protocol, TypeVar, runtime_checkable

import structlog

from shared.errors import ConfigurationError, HeadraceError, TransientError
from shared.generations import Generation, Stage
from shared.periodic import Every
from shared.rollout_log import RolloutLog
from shared.standing import Standing, Standings
from shared.worker import Failing, Part

log = structlog.get_logger()

P = TypeVar("P", bound=Part)
LOOK = timedelta(milliseconds=250)
SAY = timedelta(seconds=1)
PATIENCE = timedelta(seconds=5)
"""Between two attempts to run a generation that failed."""


@runtime_checkable
class Preparing(Protocol):
    """A part that works some time after its start."""

    def missing(self) -> str | None:
        """Return what it still waits for; None: nothing."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A part that works differently for the live generation."""

    def at(self, stage: Stage) -> None:
        """Know which stage the generation is at."""
        ...


class _Runner(Generic[P]):
    """One generation's part: opened, run, and opened again when it failed."""

    def __init__(self, generation: Generation, open_part: Callable[[Generation], P]) -> None:
        self.generation = generation
        self.part: P | None = None
        self.failure: Exception | None = None
        self._open = open_part
        self._task: asyncio.Task[None] | None = None

    def at(self, generation: Generation) -> None:
        """Know the generation as it is now."""
        self.generation = generation
        if isinstance(self.part, Staged):
            self.part.at(generation.stage)

    async def open(self) -> None:
        """Start the part; raises what keeps it from starting, with nothing left running."""
        part = self._open(self.generation)
        try:
            await part.start()
        except BaseException:
            await part.stop()
            raise
        self.part = part
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
            try:
                if self.part is None:
                    await self.open()
                await self._ended()
                break
            except Exception as error:  # noqa: BLE001 - who is not live must not take the process down
                self.failure = error
                log.error("generation.failed", generation=self.generation.name, error=repr(error))
                await self._close()
            await asyncio.sleep(PATIENCE.total_seconds())

    async def _ended(self) -> None:
        if isinstance(self.part, Failing):
            await self.part.wait()

    def standing(self) -> Standing:
        """Say how it is."""
        name = self.generation.name
        if self.failure is not None:
            refused = isinstance(self.failure, ConfigurationError)
            reason = str(self.failure) or repr(self.failure)
            return Standing(generation=name, status="failed", reason=reason, refused=refused)
        if self.part is None:
            return Standing(generation=name, status="starting")
        missing = self.part.missing() if isinstance(self.part, Preparing) else None
        return Standing(generation=name, status="starting" if missing else "running", reason=missing or "")

    async def _close(self) -> None:
        part, self.part = self.part, None
        try:
            if part is not None:
                await part.stop()
        except (HeadraceError, OSError) as error:
            log.error("part.stop_failed", part=type(part).__name__, error=repr(error))


class GenerationParts(Generic[P]):
    """The part of a worker that runs `open_part(generation)` for each generation that is not retired.

    `remove` clears away what a retired one left here; it is called at least once, and may be again.
    """

    def __init__(
        self,
        rollouts: RolloutLog,
        open_part: Callable[[Generation], P],
        standings: Standings,
        *,
        remove: Callable[[Generation], Awaitable[None]] | None = None,
    ) -> None:
        self._rollouts = rollouts
        self._open = open_part
        self._standings = standings
        self._remove = remove
        self._runners: dict[str, _Runner[P]] = {}
        self._removed: set[str] = set()
        self._failure: asyncio.Future[None] | None = None
        self._every = (Every("generations", LOOK, self.look), Every("standings", SAY, self._say))

    @property
    def running(self) -> dict[str, P]:
        """The parts that were started, by generation."""
        return {name: runner.part for name, runner in list(self._runners.items()) if runner.part is not None}

    async def start(self) -> None:
        """Start the live generation; returns when it works. The others follow in the background."""
        self._failure = asyncio.get_running_loop().create_future()
        found = self._rollouts.generations
        live = _Runner(found.known[found.live or ""], self._open)
        await live.open()
        self._runners[live.generation.name] = live
        live.keep()
        for every in self._every:
            await every.start()

    async def stop(self) -> None:
        """Stop every part."""
        for every in self._every:
            await every.stop()
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))
        try:
            await self._standings.say(())
        except TransientError as error:
            log.warning("standings.left", error=str(error))
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    async def wait(self) -> None:
        """Return when stopped; raise what made the live generation fail."""
        if self._failure is not None:
            waits = [asyncio.shield(self._failure), *(each.wait() for each in self._every)]
            await asyncio.gather(*waits)

    async def look(self) -> None:
        """Start and stop what the state says now; fail when the live generation has."""
        found = self._rollouts.generations
        for name in sorted(self._runners.keys() - found.served.keys()):
            await self._runners.pop(name).stop()
            log.info("generation.stopped", generation=name)
        for name, generation in found.served.items():
            if name not in self._runners:
                self._runners[name] = _Runner(generation, self._open)
                self._runners[name].keep()
            self._runners[name].at(generation)
        live = self._runners[found.live or ""]
        if live.failure is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(live.failure)
        for generation in found.of("retired"):
            await self._clear(generation)

    async def _clear(self, generation: Generation) -> None:
        if self._remove is not None and generation.name not in self._removed:
            await self._remove(generation)
            self._removed.add(generation.name)

    async def _say(self) -> None:
        await self._standings.say([runner.standing() for runner in self._runners.values()])
