"""Components as one: started in order, stopped in reverse within a drain, failing with the first of them."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol, runtime_checkable

import structlog

from shared.errors import TransientError
from shared.pauses import pauses

log = structlog.get_logger()

START_PAUSE = timedelta(seconds=2)
"""Between two attempts to start a component."""
LEAST_SECONDS = 1.0
"""What a component gets to stop in although those before it used the drain up; and, once cut, to end in."""


class Component(Protocol):
    """Something a worker runs."""

    async def start(self) -> None:
        """Begin; returns when it works."""
        ...

    async def stop(self) -> None:
        """End; returns when everything in hand is safe."""
        ...


@runtime_checkable
class WatchedComponent(Protocol):
    """A component that can fail after it was started."""

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        ...


@runtime_checkable
class IntakeComponent(Protocol):
    """A component that takes work in."""

    def cease(self) -> None:
        """Take nothing new in from now on; what is in hand goes on, and `stop` will wait for it."""
        ...


class ComponentGroup:
    """Runs components; itself one. Those of a worker have a `drain`, in which all of them must stop."""

    def __init__(self, components: Iterable[Component] = (), *, drain: timedelta | None = None) -> None:
        self._components = list(components)
        self._drain = drain
        self._started: list[Component] = []
        self._stopping = False

    def add(self, component: Component) -> None:
        """Run one more, after those that are there; not once it was started."""
        self._components.append(component)

    async def start(self) -> None:
        """Start one after the other, until it is stopped; one that cannot for now is started again."""
        for component in self._components:
            if self._stopping:
                return
            self._started.append(component)  # before it is: what failed half-way is stopped too
            await self._start(component)

    async def _start(self, component: Component) -> None:
        name = type(component).__name__
        while not self._stopping:
            try:
                await component.start()
            except TransientError as error:
                pauses.begin(component, f"start of {name}", error)
                log.warning("component.start_postponed", component=name, reason=str(error))
                await component.stop()
                await asyncio.sleep(START_PAUSE.total_seconds())
            else:
                pauses.end(component)
                return

    def cease(self) -> None:
        """Take nothing new in: whatever stops would share the event loop with it, batch after batch."""
        for component in self._started:
            if isinstance(component, IntakeComponent):
                component.cease()

    async def stop(self) -> None:
        """Stop what was started, in reverse; one that fails or takes too long keeps no other from it."""
        self._stopping = True
        self.cease()
        loop = asyncio.get_running_loop()
        end = None if self._drain is None else loop.time() + self._drain.total_seconds()
        while self._started:
            left = None if end is None else max(end - loop.time(), LEAST_SECONDS)
            await _stop(self._started.pop(), within=left)

    async def wait(self) -> None:
        """Return when all have stopped; raise what the first failing one raises."""
        waits = [
            asyncio.ensure_future(component.wait())
            for component in self._components
            if isinstance(component, WatchedComponent)
        ]
        if not waits:
            return
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()


async def _stop(component: Component, *, within: float | None) -> None:
    """Stop one component within so many seconds; nothing that it does or leaves undone comes back.

    It has a task of its own: one that is cut may swallow its cancellation (in Python 3.11 a `wait_for` does),
    and one may end with a cancellation that was another's, of a fetch or a connection that it closes.
    """
    name = type(component).__name__
    stopping = asyncio.create_task(component.stop(), name=f"stop {name}")
    try:
        await asyncio.wait([stopping], timeout=within)
        if not stopping.done():  # a server that is away, say: what was not done is done after the restart
            log.error("component.stop_cut", component=name)
            stopping.cancel()
            await asyncio.wait([stopping], timeout=LEAST_SECONDS)
        elif stopping.cancelled():
            log.error("component.stop_failed", component=name, error="cancelled from within")
        elif error := stopping.exception():
            log.error("component.stop_failed", component=name, error=repr(error), exc_info=error)
    finally:
        stopping.cancel()
