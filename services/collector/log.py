"""Writes what requests bring, many of them together, and says when all replicas have it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from shared.errors import PoisonError, TransientError
from shared.ports import Publisher
from shared.records import Outgoing

TOGETHER = 64
"""Requests that are written at once."""
DRAIN = timedelta(seconds=10)


@dataclass(eq=False, slots=True)
class _Request:
    """The messages of one request, and the future that is done when they are acknowledged."""

    messages: Sequence[Outgoing]
    acknowledged: "asyncio.Future[None]"


class AcknowledgedLog:
    """One writer before the broker: while a write is on its way, the next requests gather for the next one.

    How many wait is bounded by who calls it, and for how long by `within`. A broker that has not answered for
    that long is away: until it answers nobody else waits for it.
    """

    def __init__(self, publisher: Publisher, *, within: timedelta) -> None:
        self._publisher = publisher
        self._within = within.total_seconds()
        self._waiting: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._writing_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin writing."""
        self._task = asyncio.create_task(self._write_all(), name="acknowledged-log")

    async def stop(self) -> None:
        """Write what is waiting, for ten seconds at most; who still waits then is refused."""
        self._stopping = True
        self._wake.set()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=DRAIN.total_seconds())
        if not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._refuse(TransientError("the collector is being stopped"), tuple(self._waiting))

    async def wait(self) -> None:
        """Return when stopped; raise what made the writer fail."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """Return when all replicas have acknowledged all messages, which are written in order.

        Raises `TransientError` when that was not in time: some may be written all the same. Raises
        `PoisonError` for a message that the topic does not take as it is configured.
        """
        now = asyncio.get_running_loop().time()
        if self._task is None or self._stopping:
            raise TransientError("the collector is starting or being stopped")
        if self._writing_since is not None and now - self._writing_since > self._within:
            raise TransientError("Kafka has not acknowledged what was written before")
        request = _Request(messages, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._wake.set()
        try:
            async with asyncio.timeout(self._within):
                await request.acknowledged  # cancelled at the time limit: then nobody writes it any more
        except TimeoutError:
            with suppress(ValueError):  # it was taken out to be written
                self._waiting.remove(request)
            raise TransientError(f"Kafka has not acknowledged within {self._within:g} s") from None

    async def _write_all(self) -> None:
        while self._waiting or not self._stopping:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            requests = list(islice(self._waiting, TOGETHER))
            for _ in requests:
                self._waiting.popleft()
            self._writing_since = asyncio.get_running_loop().time()
            try:
                await self._write([request for request in requests if not request.acknowledged.done()])
            finally:
                self._writing_since = None
                self._refuse(TransientError("the writer ended"), requests)

    async def _write(self, requests: Sequence[_Request]) -> None:
        """Write together; where one cannot be written, one by one, so that the others are."""
        try:
            await self._publisher.publish([one for request in requests for one in request.messages])
        except TransientError as error:
            self._refuse(error, requests)
        except PoisonError as error:
            if len(requests) == 1:
                self._refuse(error, requests)
                return
            for request in requests:
                await self._write([request])
        else:
            for request in requests:
                if not request.acknowledged.done():
                    request.acknowledged.set_result(None)

    @staticmethod
    def _refuse(error: Exception, requests: Sequence[_Request]) -> None:
        for request in requests:
            if not request.acknowledged.done():
                request.acknowledged.set_exception(error)
