"""Writes every answer to `search.queries`, behind the response's back and never in its way."""

import asyncio
from collections import deque
from datetime import timedelta

import structlog
from prometheus_client import Counter

from schemas.search import SearchQuery
from shared.errors import TransientError
from shared.ports import Publisher, outgoing

log = structlog.get_logger()

logged = Counter("headrace_search_logged", "Answers written to search.queries")
dropped = Counter("headrace_search_log_dropped", "Answers that could not be logged in time", ("reason",))

BATCH = 256
PAUSE = timedelta(seconds=0.5)
DRAIN = timedelta(seconds=10)
WARN_EVERY = timedelta(seconds=5)


class QueryLog:
    """A bounded queue and one writer; what does not fit is dropped, counted, and said every few seconds.

    `write` never waits. `stop` flushes for at most ten seconds; what is left then counts as dropped.
    """

    def __init__(self, publisher: Publisher, *, capacity: int) -> None:
        self._publisher = publisher
        self._capacity = capacity
        self._waiting: deque[SearchQuery] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._warned_at = float("-inf")
        self.dropped = 0
        """How many answers were not logged since the start."""

    async def start(self) -> None:
        """Begin writing."""
        self._task = asyncio.create_task(self._write_all(), name="query-log")

    async def stop(self) -> None:
        """Write what is waiting, then end."""
        if self._task is None:
            return
        self._stopping = True
        self._wake.set()
        await asyncio.wait({self._task}, timeout=DRAIN.total_seconds())
        if not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._waiting:
            self._drop(len(self._waiting), "shutdown")
            self._waiting.clear()

    async def wait(self) -> None:
        """Return when stopped; raise what made the writer fail."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def write(self, query: SearchQuery) -> None:
        """Take an answer to be logged; returns at once."""
        if len(self._waiting) >= self._capacity:
            self._drop(1, "full")
            return
        self._waiting.append(query)
        self._wake.set()

    async def _write_all(self) -> None:
        while self._waiting or not self._stopping:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
            try:
                await self._publisher.publish([outgoing(query) for query in batch])
            except TransientError as error:
                log.warning("query_log.waiting", answers=len(self._waiting), error=str(error))
                await asyncio.sleep(PAUSE.total_seconds())
                continue
            for _ in batch:
                self._waiting.popleft()
            logged.inc(len(batch))

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        dropped.labels(reason).inc(count)
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= WARN_EVERY.total_seconds() or reason == "shutdown":
            self._warned_at = now
            log.error("query_log.dropped", reason=reason, dropped=self.dropped, waiting=len(self._waiting))
