"""An asynchronous front before an encoder: many callers, every core busy, small requests first.

The event loop never waits for the model. Each of the encoder's threads takes a pass when it is free, so no
core waits for another. Requests go by earliest deadline, and a request is due the later the larger it is:
a query or a single change overtakes an import, and an import that has waited goes before newer small ones.
A pass has texts of like length: the longest that are left of the first request, filled up from the next.
"""

import asyncio
import bisect
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.errors import TransientError
from shared.ports import Encoder, Vectors

CHARACTERS_A_TOKEN = 4
"""A pass is planned in characters and packed by tokens in the encoder; a wrong guess costs little."""
DUE_A_TEXT = 0.02
"""Seconds after which a request is due, for each of its texts; about what a text takes on one core."""
LEAST_SHARE = 8
"""Fewer texts are not shared between idle cores: two small passes cost half as much again as one."""
WAITING_TEXTS = 4096

Encode = Callable[[Sequence[str]], Vectors]


@dataclass(slots=True, eq=False)
class _Request:
    """Texts of one caller; `order` has those not yet taken, longest first, `left` counts the unanswered."""

    encode: Encode
    texts: Sequence[str]
    due: float
    rows: Vectors
    done: "asyncio.Future[Vectors]"
    order: list[int] = field(init=False)
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.order = sorted(range(len(self.texts)), key=self.length, reverse=True)
        self.left = len(self.texts)

    def length(self, index: int) -> int:
        return len(self.texts[index])

    def take(self, most: int, longest: int) -> list[tuple["_Request", int]]:
        """Take up to `most` texts of at most `longest` characters, longest first."""
        start = bisect.bisect_left(self.order, -longest, key=lambda index: -self.length(index))
        taken = self.order[start : start + most]
        del self.order[start : start + most]
        return [(self, index) for index in taken]


class CoalescingEncoder:
    """Serves concurrent callers of one event loop through the (blocking) encoder."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        waiting_texts: int = WAITING_TEXTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fingerprint = encoder.fingerprint
        self.dimensions = encoder.dimensions
        self._encoder = encoder
        self._pass_characters = encoder.pass_tokens * CHARACTERS_A_TOKEN
        self._waiting_texts = waiting_texts
        self._clock = clock
        self._waiting = 0
        self._room = asyncio.Event()
        self._changed = threading.Condition()
        self._open: set[_Request] = set()
        self._requests: list[_Request] = []
        """Those that have texts to take, by deadline."""
        self._idle = 0
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"encode-{number}", daemon=True)
            for number in range(encoder.threads)
        ]
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Begin serving."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Stop serving; callers still waiting get `TransientError`, passes under way end unheard."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for request in self._open:
            _fail(request, TransientError("the encoder was stopped"))
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, in order; waits for room when too many texts are waiting."""
        while self._waiting >= self._waiting_texts:
            self._room.clear()
            await self._room.wait()
        return await self._enqueue(self._encoder.encode_documents, texts)

    async def encode_query(self, text: str) -> Vectors:
        """Return the unit vector of one query; raises `TransientError` at once when too many wait."""
        if self._waiting >= self._waiting_texts:
            raise TransientError("too many queries are waiting for the encoder")
        row: Vectors = (await self._enqueue(self._encoder.encode_queries, [text]))[0]
        return row

    async def _enqueue(self, encode: Encode, texts: Sequence[str]) -> Vectors:
        rows = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return rows
        if self._stopped:
            raise TransientError("the encoder was stopped")
        due = self._clock() + DUE_A_TEXT * len(texts)
        done: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        request = _Request(encode, texts, due, rows, done)
        self._open.add(request)
        self._waiting += len(texts)
        with self._changed:
            bisect.insort(self._requests, request, key=lambda each: each.due)
            self._changed.notify(len(texts))
        try:
            return await done
        finally:
            self._leave(request)

    def _leave(self, request: _Request) -> None:
        """Forget what a caller who has gone still had waiting."""
        self._open.remove(request)
        self._waiting -= len(request.texts)
        self._room.set()
        with self._changed:
            if request in self._requests:
                self._requests.remove(request)

    def _work(self) -> None:
        """Embed pass after pass, in a thread of its own."""
        assert self._loop is not None  # noqa: S101 - set before the thread is started
        while taken := self._next():
            texts = [request.texts[index] for request, index in taken]
            try:
                rows = taken[0][0].encode(texts)
            except Exception as error:  # noqa: BLE001 - it belongs to the callers, who decide
                self._loop.call_soon_threadsafe(_fail_all, taken, error)
            else:
                self._loop.call_soon_threadsafe(_answer, taken, rows)

    def _next(self) -> list[tuple[_Request, int]]:
        """Wait for something to do; nothing when it was stopped."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._requests or self._stopped)
            taken = [] if self._stopped else self._take()
            self._idle -= 1
            return taken

    def _take(self) -> list[tuple[_Request, int]]:
        """Take a pass: this idle thread's share of what waits, within the budget, all of one kind."""
        first = self._requests[0]
        longest = first.length(first.order[0])
        waiting = sum(len(request.order) for request in self._requests)
        fitting = max(1, self._pass_characters // max(1, longest))
        room = min(fitting, max(LEAST_SHARE, math.ceil(waiting / self._idle)))
        taken: list[tuple[_Request, int]] = []
        for request in self._requests:
            if request.encode == first.encode and len(taken) < room:
                taken += request.take(room - len(taken), longest)
        self._requests = [request for request in self._requests if request.order]
        return taken


def _answer(taken: Sequence[tuple[_Request, int]], rows: Vectors) -> None:
    """Give the callers their rows; who has all of them goes on."""
    for (request, index), row in zip(taken, rows, strict=True):
        request.rows[index] = row
        request.left -= 1
        if request.left == 0 and not request.done.done():
            request.done.set_result(request.rows)


def _fail_all(taken: Sequence[tuple[_Request, int]], error: Exception) -> None:
    for request, _ in taken:
        _fail(request, error)


def _fail(request: _Request, error: Exception) -> None:
    if not request.done.done():
        request.done.set_exception(error)
