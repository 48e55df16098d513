"""The last resort of a stop: a process that is not gone by its deadline says what still runs in it, and ends.

By then everything in hand was drained or cut. What holds a process up after that has nothing to lose: a
library that swallows its cancellation, a thread that nobody joins. Without an end, whoever waits for the
process would wait for ever, or kill it and never hear why.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

import structlog
from mode.threads import WorkerThread

log = structlog.get_logger()

DEADLINE = timedelta(seconds=26)
"""When a process that stops ends, whatever holds it up: before the 30 s after which it is killed."""
SAYING = timedelta(seconds=3)
"""What saying it may take: whoever should read the log may not."""
FRAMES = 4
"""How many frames of a thread are named, the innermost first."""


class StopDeadline:
    """Ends the process `within` so long after `start`, with the code that `exit_code` returns then.

    It counts in a thread of its own, which waits from the beginning: a loop that is held up holds up nothing
    here, and a signal's handler may start it, wherever the signal came.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        exit_code: Callable[[], int],
        within: timedelta = DEADLINE,
    ) -> None:
        self._loop = loop
        self._within = within
        self._exit_code = exit_code
        self._begun: SimpleQueue[None] = SimpleQueue()  # its `put` takes no lock that the handler may meet
        threading.Thread(target=self._end, name="stop deadline", daemon=True).start()

    def start(self) -> None:
        """Begin to count, unless it has; a process that ends in time never hears of it."""
        self._begun.put(None)

    def _end(self) -> None:
        self._begun.get()
        time.sleep(self._within.total_seconds())
        code = self._exit_code()
        saying = threading.Thread(target=self._say, args=(code,), daemon=True)
        saying.start()
        saying.join(SAYING.total_seconds())
        os._exit(code)

    def _say(self, code: int) -> None:
        loops = [self._loop]
        loops += [
            thread.service.thread_loop for thread in threading.enumerate() if isinstance(thread, WorkerThread)
        ]
        log.error(
            "process.stop_cut",
            after=f"{self._within.total_seconds():g} s",
            code=code,
            tasks=sorted(name for loop in loops for name in running_tasks(loop)),
            threads=sorted(running_threads()),
        )


def running_tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Yield the name of each task of a loop, with the place where it waits."""
    for task in asyncio.all_tasks(loop):
        yield f"{task.get_name()}: {_place(_innermost(task.get_coro()))}"


def running_threads() -> Iterator[str]:
    """Yield the name of each thread that holds the process up, with where it is."""
    frames = sys._current_frames()  # noqa: SLF001  documented, and the only way to see another thread's
    for thread in threading.enumerate():
        if not thread.daemon:
            yield f"{thread.name}: {' < '.join(_outwards(frames.get(thread.ident or 0)))}"


def _innermost(waiting: Any) -> FrameType | None:  # Any: a coroutine, a generator, or what they await
    frame = None
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None) or frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return frame


def _outwards(frame: FrameType | None) -> Iterator[str]:
    for _ in range(FRAMES):
        if frame is None:
            return
        yield _place(frame)
        frame = frame.f_back


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "ended"
    code = frame.f_code
    return f"{code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})"
