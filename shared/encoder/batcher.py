"""An asynchronous front before an encoder: many callers, one thread, full batches.

The event loop never waits for the model. What is waiting when the thread becomes free goes in together
(nobody waits for a batch to fill); queries go before documents, and documents of several callers take
turns, so that a long message of one partition does not hold up the others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from shared.errors import TransientError
from shared.ports import Encoder, Vectors

TEXTS_A_CALL = 64
WAITING_TEXTS = 4096


@dataclass(slots=True, eq=False)
class _Request:
    """Texts of one caller; `left` counts those not yet embedded."""

    texts: Sequence[str]
    order: deque[int]
    rows: list[Vectors | None]
    done: "asyncio.Future[list[Vectors | None]]"
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.texts)


class CoalescingEncoder:
    """Serves concurrent callers through one thread that calls the (blocking) encoder."""

    def __init__(
        self, encoder: Encoder, *, texts_a_call: int = TEXTS_A_CALL, waiting_texts: int = WAITING_TEXTS
    ) -> None:
        self.fingerprint = encoder.fingerprint
        self.dimensions = encoder.dimensions
        self._encoder = encoder
        self._texts_a_call = texts_a_call
        self._waiting_texts = waiting_texts
        self._queries: deque[_Request] = deque()
        self._documents: deque[_Request] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Condition()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin serving."""
        self._task = asyncio.create_task(self._serve(), name="encoder")

    async def stop(self) -> None:
        """Stop serving; callers still waiting get `TransientError`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for request in (*self._queries, *self._documents):
            if not request.done.done():
                request.done.set_exception(TransientError("the encoder was stopped"))
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, in order; waits for room when too many texts are waiting."""
        async with self._room:
            await self._room.wait_for(lambda: self._waiting < self._waiting_texts)
            self._waiting += len(texts)
        return await self._enqueue(self._documents, texts)

    async def encode_query(self, text: str) -> Vectors:
        """Return the unit vector of one query; raises `TransientError` at once when too many wait."""
        if len(self._queries) >= self._waiting_texts:
            raise TransientError("too many queries are waiting for the encoder")
        rows = await self._enqueue(self._queries, [text])
        row: Vectors = rows[0]
        return row

    async def _enqueue(self, queue: deque[_Request], texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        longest_first = deque(sorted(range(len(texts)), key=lambda index: -len(texts[index])))
        future = asyncio.get_running_loop().create_future()
        queue.append(_Request(texts, longest_first, [None] * len(texts), future))
        self._wake.set()
        return np.array(await future, dtype=np.float32)

    async def _serve(self) -> None:
        while True:
            if not self._queries and not self._documents:
                self._wake.clear()
                await self._wake.wait()
            if self._queries:
                await self._call(self._encoder.encode_queries, self._take(self._queries))
                continue
            taken = self._take(self._documents)
            await self._call(self._encoder.encode_documents, taken)
            async with self._room:
                self._waiting = sum(request.left for request in self._documents)
                self._room.notify_all()

    def _take(self, queue: deque[_Request]) -> list[tuple[_Request, int]]:
        """Take texts from all callers in turn, up to one call's worth."""
        taken: list[tuple[_Request, int]] = []
        while queue and len(taken) < self._texts_a_call:
            request = queue.popleft()
            if request.done.done():  # the caller was cancelled
                continue
            share = max(1, (self._texts_a_call - len(taken)) // (len(queue) + 1))
            taken += [(request, request.order.popleft()) for _ in range(min(share, len(request.order)))]
            if request.order:
                queue.append(request)
        return taken

    async def _call(
        self, encode: Callable[[Sequence[str]], Vectors], taken: Sequence[tuple[_Request, int]]
    ) -> None:
        """Embed what was taken in the thread and answer the callers that are complete."""
        if not taken:
            return
        texts = [request.texts[index] for request, index in taken]
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._thread, encode, texts)
        except asyncio.CancelledError:
            _fail(taken, TransientError("the encoder was stopped"))
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the callers, who decide
            _fail(taken, error)
            return
        for (request, index), row in zip(taken, rows, strict=True):
            request.rows[index] = row
            request.left -= 1
            if request.left == 0 and not request.done.done():
                request.done.set_result(request.rows)


def _fail(taken: Sequence[tuple[_Request, int]], error: Exception) -> None:
    for request, _ in taken:
        request.order.clear()
        if not request.done.done():
            request.done.set_exception(error)
