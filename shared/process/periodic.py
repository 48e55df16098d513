"""Work that is done again and again beside the partition loop."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.errors import TransientError
from shared.pauses import pauses

TROUBLE_PAUSE = timedelta(seconds=2)
log = structlog.get_logger()


class Every:
    """A component that does something again and again; transient trouble is logged, anything else stops."""

    def __init__(self, name: str, period: timedelta, action: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._period = period
        self._action = action
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End; what is in hand is cut short, or finished by its threads."""
        if self._task is not None:
            self._stopping = True
            self._task.cancel()
            await asyncio.wait([self._task])
            pauses.end(self)

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    async def _run(self) -> None:
        while not self._stopping:  # in Python 3.11 a `wait_for` in the action may swallow the cancellation
            pause = self._period
            try:
                await self._action()
                pauses.end(self)
            except TransientError as error:
                pauses.begin(self, self._name, error)
                log.warning("periodic.postponed", name=self._name, reason=str(error))
                pause = max(pause, TROUBLE_PAUSE)
            if not self._stopping:
                await asyncio.sleep(pause.total_seconds())
