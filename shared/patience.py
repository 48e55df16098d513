"""How long a neighbour is waited for: a worker waits for ever, a person who typed a command for seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from shared.errors import TransientError

ANSWER_SECONDS = 5.0
"""Within this time a command says that a broker, a Redis or a worker does not answer."""

_hurried = ContextVar("hurried", default=False)


def hurry() -> None:
    """Wait for no broker and no Redis from now on, in this context: what needs one fails with the reason."""
    _hurried.set(True)


@contextmanager
def hurrying() -> Iterator[None]:
    """Be in a hurry within the block, as a program is that calls us."""
    token = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(token)


def hurried() -> bool:
    """Whether a person waits."""
    return _hurried.get()


def answer_seconds() -> float | None:
    """Return how long an answer is waited for; None: as long as the client's own limits say."""
    return ANSWER_SECONDS if hurried() else None


Missing = Callable[[], Awaitable[TransientError | None]]
"""Says that there is nobody to answer; None: somebody may be there."""


async def may_be_there() -> None:
    """Know nothing of who answers."""


class Silence:
    """The time since something was asked of a worker, inside a running event loop."""

    def __init__(self, missing: Missing) -> None:
        self._missing = missing
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._looked = False

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return self._loop.time() - self._begun

    async def look(self) -> None:
        """Once it is long, ask whether anybody is there; raises what `missing` says."""
        if self._looked or self.seconds < ANSWER_SECONDS:
            return
        self._looked = True
        if (error := await self._missing()) is not None:
            raise error
