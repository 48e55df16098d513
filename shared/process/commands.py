"""Control commands: carried out in order, each once, by the workers that run when it is sent.

They come through a Faust agent, whose consumer group may lose its session (a model that loads holds the
process up for longer than a heartbeat) and then begin again wherever it was, or at the start of the topic.
So where to begin is decided here: at the end of the topic as it was when this process came up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import stamina
import structlog
from pydantic import ValidationError

from schemas.control import Command
from shared.errors import HeadraceError, PoisonError, TransientError
from shared.kafka.client import wait_for_broker
from shared.kafka.offsets import BrokerLog
from shared.records import Partition
from shared.settings import Settings

log = structlog.get_logger()

OnCommand = Callable[[Mapping[str, str]], Awaitable[None]]
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class Commands:
    """The commands that one worker carries out."""

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
            await self.execute(value)
            self._next[partition] = offset + 1

    async def execute(self, value: bytes) -> None:
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


class CommandStart:
    """The component that waits for the broker and lets commands begin where the topic ends.

    What comes later is for this process, also while the components after it still start.
    """

    def __init__(self, settings: Settings, commands: Commands) -> None:
        self._settings = settings
        self._commands = commands

    async def start(self) -> None:
        """Find the end of the topic; a broker that is away is waited for."""
        self._commands.begin(await self._ends())

    async def stop(self) -> None:
        """Nothing to end: Faust's agent is stopped with its app."""

    async def _ends(self) -> dict[int, int]:
        edges = BrokerLog(self._settings)
        async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=None):
            with attempt:
                counts = await wait_for_broker(self._settings, [Command.topic])
                try:
                    numbers = range(counts[Command.topic])
                    return {n: (await edges.edges(Partition(Command.topic, n)))[1] for n in numbers}
                finally:
                    await edges.stop()
        raise AssertionError("a retry without end has ended")
