"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from headrace.entries import Entry
from schemas.base import Message
from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from headrace.streams import AsyncStream

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class LoopThread:
    """Runs coroutines for any number of threads, which wait meanwhile."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="headrace", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it is there, for this process."""
        return self._process == os.getpid() and self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of it; whoever is interrupted meanwhile has called it off."""
        if self._process != os.getpid():
            work.close()
            raise ConfigurationError("this client was made before the process was forked: make one in each")
        if not self.alive:
            work.close()
            raise ConfigurationError("this client is closed: make another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ConfigurationError("this client was closed meanwhile: make another one") from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End what still runs, and the thread; twice is as good as once."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            running = asyncio.all_tasks(self._loop)
            for task in running:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*running, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


class Stream(Generic[M]):
    """One topic, in order a partition; `for` gives an `Entry` each. `close` ends it, from any thread.

    `positions` is what is read next of each partition: given as `since`, another stream goes on there.
    """

    def __init__(self, stream: "AsyncStream[M]", thread: LoopThread) -> None:
        self._stream = stream
        self._thread = thread

    @property
    def positions(self) -> dict[int, int]:
        """What is read next of each partition."""
        return self._stream.positions

    def __enter__(self) -> Self:
        """Return itself; it connects at the first entry."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.close()

    def __iter__(self) -> Iterator[Entry[M]]:
        """Yield the entries; disconnects at the end."""
        try:
            while entries := self._thread.run(self._stream.some()):
                for entry in entries:
                    self._stream.positions[entry.partition] = entry.offset + 1
                    yield entry
        finally:
            self.close()

    def close(self) -> None:
        """Disconnect; who waits for an entry gets none."""
        if self._thread.alive:
            self._thread.run(self._stream.close())
