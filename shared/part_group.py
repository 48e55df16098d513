"""Several parts of a worker as one: started in order, stopped in reverse, failing with the first of them."""

import asyncio
from collections.abc import Sequence

import structlog

from shared.errors import HeadraceError
from shared.worker import Failing, Part

log = structlog.get_logger()


class PartGroup:
    """Runs its parts; a part that cannot stop does not keep the others from it."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._started: list[Part] = []

    async def start(self) -> None:
        """Start one after the other."""
        for part in self._parts:
            self._started.append(part)
            await part.start()

    async def stop(self) -> None:
        """Stop what was started, in reverse."""
        while self._started:
            part = self._started.pop()
            try:
                await part.stop()
            except (HeadraceError, OSError) as error:
                log.error("part.stop_failed", part=type(part).__name__, error=repr(error))

    async def wait(self) -> None:
        """Return when all have stopped; raise what the first failing one raises."""
        waits = [asyncio.ensure_future(part.wait()) for part in self._parts if isinstance(part, Failing)]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()
