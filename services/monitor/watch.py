"""A look at something every so often, while this monitor leads."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from services.monitor.leadership import Leadership
from shared.errors import FencedError, TransientError

TROUBLE_PAUSE = timedelta(seconds=2)
log = structlog.get_logger()


class Watch:
    """Calls `look(epoch)` every `every`; transient trouble is waited out, anything else fails `wait()`."""

    def __init__(
        self,
        name: str,
        look: Callable[[int], Awaitable[None]],
        *,
        every: timedelta,
        leadership: Leadership,
    ) -> None:
        self._name = name
        self._look = look
        self._every = every
        self._leadership = leadership
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._go_on(), name=f"watch {self._name}")

    async def stop(self) -> None:
        """End; a look that is cut short is taken again by the next leader."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _go_on(self) -> None:
        while True:
            pause = self._every
            try:
                if self._leadership.epoch is not None:
                    await self._look(self._leadership.epoch)
            except FencedError as error:
                log.warning("watch.fenced", watch=self._name, error=str(error))
                self._leadership.lost()
            except TransientError as error:
                log.warning("watch.waiting", watch=self._name, error=str(error))
                pause = max(pause, TROUBLE_PAUSE)
            await asyncio.sleep(pause.total_seconds())
