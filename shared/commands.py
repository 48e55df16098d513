"""Control commands: carried out in order, each once, by the workers that run when it is sent.

They come through a Faust agent, whose consumer group may lose its session (a model that loads holds the
process up for longer than a heartbeat) and then begin again wherever it was, or at the start of the topic.
So where to begin is decided here: at the end of the topic as it was when this process came up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import structlog
from pydantic import ValidationError

from schemas.control import Command
from shared.errors import HeadraceError, PoisonError

log = structlog.get_logger()

OnCommand = Callable[[Mapping[str, str]], Awaitable[None]]
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class Commands:
    """What one worker does when it is told to."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._handlers: dict[str, OnCommand] = {"log.level": _set_log_level}
        self._next: dict[int, int] = {}
        self._begun = asyncio.Event()

    def add(self, name: str, handler: OnCommand) -> None:
        """Call `handler(arguments)` for each command of that name that is meant for this worker."""
        self._handlers[name] = handler

    def begin(self, ends: Mapping[int, int]) -> None:
        """Carry out what lies at or after these offsets (by partition) from now on."""
        self._next = dict(ends)
        self._begun.set()

    def waiting(self) -> str | None:
        """Return why no command would be heard yet; None: it would."""
        return None if self._begun.is_set() else "not listening yet"

    async def take(self, value: bytes, *, partition: int, offset: int) -> None:
        """Carry out the message at this place, unless that was done, or it is older than this process."""
        await self._begun.wait()
        if offset >= self._next.get(partition, 0):
            await self.obey(value)
            self._next[partition] = offset + 1

    async def obey(self, value: bytes) -> None:
        """Carry out one command; one that cannot be read or fails is logged and skipped."""
        try:
            command = Command.decode(value)
        except ValidationError as error:
            log.warning("command.invalid", error=str(error))
            return
        handler = self._handlers.get(command.name)
        if handler is None or command.worker not in ("", self._worker):
            return
        log.info("command.received", name=command.name, command_id=command.command_id)
        try:
            await handler(command.arguments)
        except HeadraceError as error:
            log.error("command.failed", name=command.name, error=str(error))


async def _set_log_level(arguments: Mapping[str, str]) -> None:
    """Log from `arguments["level"]` on, until the process ends."""
    level = arguments.get("level", "").upper()
    if level not in LEVELS:
        raise PoisonError("level.unknown", f"{level!r} is none of {', '.join(LEVELS)}")
    logging.getLogger().setLevel(level)
