"""An asynchronous front before an encoder: many callers, every core busy, small requests first.

The event loop never waits for the model. Each of the encoder's threads takes a pass when it is free, so no
core waits for another. Requests go by earliest deadline, and a request is due the later the larger it is:
a query or a single change overtakes an import, and an import that has waited goes before newer small ones.
A pass has texts of like length: the longest that are left of the first request, filled up from the next.

Several models share the cores by sharing `EncoderThreads`. What is asked in the background (for a generation
that is not live) is due much later, what it takes over from another one later still. Both go in small passes,
and one core is always left to the others: a pass that has begun is all that anybody waits for.
"""

import asyncio
import bisect
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from shared.arrays import Vectors
from shared.errors import TransientError
from shared.ports import Encoder

CHARACTERS_A_TOKEN = 4
"""A pass is planned in characters and packed by tokens in the encoder; a wrong guess costs little."""
DUE_A_TEXT = 0.02
"""Seconds after which a request is due, for each of its texts; about what a text takes on one core."""
LEAST_SHARE = 8
"""Fewer texts are not shared between idle cores: two small passes cost half as much again as one."""
BACKGROUND_SECONDS = 1.0
"""So much later is a background request due, and a replayed one again. Neither is starved: where the others
keep all cores busy, it has its turn after that time."""
BACKGROUND_PART = 4
"""A background pass is so much smaller than others, which costs 5 to 8 % of its speed."""
WAITING_TEXTS = 4096

Encode = Callable[[Sequence[str]], Vectors]


@dataclass(slots=True, eq=False)
class _Request:
    """Texts of one caller; `order` has those not yet taken, longest first, `left` counts the unanswered."""

    encode: Encode
    texts: Sequence[str]
    due: float
    rows: Vectors
    pass_characters: int
    background: bool
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


class EncoderThreads:
    """Threads that embed pass after pass, for one model or for several that share the cores."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[_Request] = []
        """Those that have texts to take, by deadline."""
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._background = 0
        """Passes under way for background requests."""
        self._stopped = False

    def grow(self, threads: int) -> None:
        """Have at least so many threads."""
        while len(self._threads) < threads:
            name = f"encode-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    async def start(self) -> None:
        """Nothing to do: the first model brings the threads."""

    async def stop(self) -> None:
        """End the threads; passes under way end unheard."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def add(self, request: _Request) -> None:
        """Have its texts embedded."""
        with self._changed:
            bisect.insort(self._requests, request, key=lambda waiting: waiting.due)
            self._changed.notify(len(request.texts))

    def drop(self, request: _Request) -> None:
        """Forget what of it was not taken yet."""
        with self._changed:
            if request in self._requests:
                self._requests.remove(request)

    def _work(self) -> None:
        """Embed pass after pass, in a thread of its own."""
        while taken := self._next():
            first = taken[0][0]
            loop = first.done.get_loop()
            try:
                rows = first.encode([request.texts[index] for request, index in taken])
            except Exception as error:  # noqa: BLE001 - it belongs to the callers, who decide
                _tell(loop, _fail_all, taken, error)
            else:
                _tell(loop, _answer, taken, rows)
            if first.background:
                with self._changed:
                    self._background -= 1
                    self._changed.notify_all()

    def _next(self) -> list[tuple[_Request, int]]:
        """Wait for something to do; nothing when it was stopped."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._stopped or self._first() is not None)
            first = None if self._stopped else self._first()
            taken = [] if first is None else self._take(first)
            self._idle -= 1
            return taken

    def _first(self) -> _Request | None:
        """Return the request that is due first and may go: background ones leave a core to the others."""
        full = self._background >= max(1, len(self._threads) - 1)
        return next((request for request in self._requests if not (request.background and full)), None)

    def _take(self, first: _Request) -> list[tuple[_Request, int]]:
        """Take a pass: this idle thread's share of what waits, within the budget, all of one kind."""
        alike = [
            request
            for request in self._requests
            if request.encode == first.encode and request.due >= first.due
        ]
        longest = first.length(first.order[0])
        waiting = sum(len(request.order) for request in self._requests)
        budget = first.pass_characters
        if first.background:
            self._background += 1
            budget //= BACKGROUND_PART
        room = min(max(1, budget // max(1, longest)), max(LEAST_SHARE, math.ceil(waiting / self._idle)))
        taken: list[tuple[_Request, int]] = []
        for request in alike:
            if len(taken) < room and request.background == first.background:
                taken += request.take(room - len(taken), longest)
        self._requests = [request for request in self._requests if request.order]
        return taken


class CoalescingEncoder:
    """Serves concurrent callers of one event loop through the (blocking) encoder."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        passes: EncoderThreads | None = None,
        waiting_texts: int = WAITING_TEXTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fingerprint = encoder.fingerprint
        self.dimensions = encoder.dimensions
        self.background = False
        """Whether what is asked from now on goes after what others ask of the same `passes`."""
        self._encoder = encoder
        self._pass_characters = encoder.pass_tokens * CHARACTERS_A_TOKEN
        self._passes = passes or EncoderThreads()
        self._own = passes is None
        self._waiting_texts = waiting_texts
        self._clock = clock
        self._waiting = 0
        self._room = asyncio.Event()
        self._open: set[_Request] = set()
        self._stopped = False

    @property
    def document_tokens(self) -> int:
        """How many tokens of a document the model reads."""
        return self._encoder.document_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has; at once, for it takes microseconds a text."""
        return self._encoder.count_tokens(texts)

    async def start(self) -> None:
        """Begin serving."""
        self._passes.grow(self._encoder.threads)

    async def stop(self) -> None:
        """Stop serving; callers still waiting get `TransientError`, passes under way end unheard."""
        self._stopped = True
        for request in self._open:
            self._passes.drop(request)
            _fail(request, TransientError("the encoder was stopped"))
        if self._own:
            await self._passes.stop()

    async def encode_documents(self, texts: Sequence[str], *, replayed: bool = False) -> Vectors:
        """Return one unit row a text, in order; waits for room when too many texts are waiting.

        What is `replayed` is no change that anybody waits for: it goes after all others.
        """
        while self._waiting >= self._waiting_texts:
            self._room.clear()
            await self._room.wait()
        return await self._enqueue(self._encoder.encode_documents, texts, replayed=replayed)

    async def encode_query(self, text: str) -> Vectors:
        """Return the unit vector of one query; raises `TransientError` at once when too many wait."""
        if self._waiting >= self._waiting_texts:
            raise TransientError("too many queries are waiting for the encoder")
        row: Vectors = (await self._enqueue(self._encoder.encode_queries, [text]))[0]
        return row

    async def _enqueue(self, encode: Encode, texts: Sequence[str], *, replayed: bool = False) -> Vectors:
        rows = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return rows
        if self._stopped:
            raise TransientError("the encoder was stopped")
        request = _Request(
            encode,
            texts,
            due=self._clock() + DUE_A_TEXT * len(texts) + BACKGROUND_SECONDS * (self.background + replayed),
            rows=rows,
            pass_characters=self._pass_characters,
            background=self.background or replayed,
            done=asyncio.get_running_loop().create_future(),
        )
        self._open.add(request)
        self._waiting += len(texts)
        self._passes.add(request)
        try:
            return await request.done
        finally:
            self._open.remove(request)
            self._waiting -= len(texts)
            self._room.set()
            self._passes.drop(request)


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *arguments: object) -> None:
    """Say it in the callers' loop, unless that has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what, *arguments)


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
