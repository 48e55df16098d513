"""Compiled loops over vectors: exact scores of rows, and the best of them. None holds the interpreter's lock.

Each is compiled for one signature when this module is first imported (and cached beside it), so that no
search waits for a compiler. Arrays that are read may be read-only. What is cached is known by the time of
this file alone: touch it when `half_dot` changes.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from services.shards.half_dot import half_dot, prefetch
from services.shards.rows import Floats, Halves, Integers
from shared.compiled import compiled, compiled_for

AHEAD = 6
"""How many rows before its turn a row is asked of the memory: rows lie apart, no processor guesses them."""
LINE = 64

_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_SCORES = types.Array(types.float32, 1, "C", readonly=True)
_BITS = types.Array(types.uint16, 2, "C", readonly=True)


@compiled_for(types.void(_BITS, _ROWS, _SCORES, types.float32[::1]))
def _score(  # noqa: PLR0917 - compiled code takes places, not names
    bits: NDArray[np.uint16], rows: Integers, query: Floats, scores: Floats
) -> None:
    dimensions, start, query_at = query.shape[0], bits.ctypes.data, query.ctypes.data
    width = dimensions * 2
    for place in range(rows.shape[0]):
        if place + AHEAD < rows.shape[0]:
            coming = start + rows[place + AHEAD] * width
            for line in range(0, width, LINE):
                prefetch(coming + line)
        scores[place] = half_dot(start + rows[place] * width, query_at, dimensions)


@compiled
def _worse(scores: Floats, one: int, other: int) -> bool:
    """Whether a place comes after another; rows ascend, so of equal scores the earlier place is better."""
    if scores[one] != scores[other]:
        return bool(scores[one] < scores[other])
    return one > other


@compiled
def _sink(heap: Integers, size: int, scores: Floats) -> None:
    """Let the root sink to its place in a heap whose root is the worst."""
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            return
        if child + 1 < size and _worse(scores, heap[child + 1], heap[child]):
            child += 1
        if not _worse(scores, heap[child], heap[parent]):
            return
        heap[parent], heap[child] = heap[child], heap[parent]
        parent = child


@compiled
def _rise(heap: Integers, place: int, scores: Floats) -> None:
    """Let the last rise to its place."""
    while place > 0:
        parent = (place - 1) // 2
        if not _worse(scores, heap[place], heap[parent]):
            return
        heap[parent], heap[place] = heap[place], heap[parent]
        place = parent


@compiled
def _gather(scores: Floats, k: int, heap: Integers) -> int:
    """Put the places of the `k` best into a heap, the worst of them at its root; return how many."""
    size = 0
    for place in range(scores.shape[0]):
        if size < k:
            heap[size] = place
            _rise(heap, size, scores)
            size += 1
        elif scores[place] > scores[heap[0]]:
            heap[0] = place
            _sink(heap, size, scores)
    return size


@compiled_for(types.int64(_SCORES, types.int64, types.int64[::1]))
def _select(scores: Floats, k: int, chosen: Integers) -> int:
    """Put the places of the `k` best into `chosen`, best first, then as many of their ties as have room."""
    if k <= 0 or scores.shape[0] == 0:
        return 0
    size: int = _gather(scores, k, chosen)
    last = chosen[0]
    for end in range(size - 1, 0, -1):
        chosen[0], chosen[end] = chosen[end], chosen[0]
        _sink(chosen, end, scores)
    for place in range(last + 1, scores.shape[0]):
        if size == chosen.shape[0]:
            break
        if scores[place] == scores[last]:
            chosen[size] = place
            size += 1
    return size


def score_rows(vectors: Halves, rows: Integers, query: Floats) -> Floats:
    """Return the inner products (float32) of some rows of a C-contiguous float16 matrix with a query.

    A row's score has the same bits wherever the row lies and whichever others are asked for. The rows must
    exist: nothing is checked here.
    """
    scores = np.empty(rows.size, np.float32)
    _score(vectors.view(np.uint16), rows, query, scores)
    return scores


def best_rows(rows: Integers, scores: Floats, k: int, *, ties: int) -> tuple[Integers, Floats]:
    """Return the `k` best of some ascending rows, and those that tie with the last of them, `ties` at most.

    Ordered by falling score, then by row. No score may be NaN.
    """
    chosen = np.empty(max(0, min(k, rows.size)) + ties, np.int64)
    chosen = chosen[: _select(scores, max(0, min(k, rows.size)), chosen)]
    return rows[chosen], scores[chosen]


@compiled_for(types.int64(types.Array(types.uint8, 1, "C", readonly=True), types.int64[::1]))
def _collect(mask: NDArray[np.uint8], rows: Integers) -> int:
    size = 0
    for row in range(mask.shape[0]):
        # Written always, counted sometimes: no branch for a processor to guess wrong.
        rows[size] = row
        size += mask[row]
    return size


def rows_of(mask: NDArray[np.bool_]) -> Integers:
    """Return the rows that a C-contiguous mask chooses, ascending."""
    rows = np.empty(mask.size + 1, np.int64)
    return rows[: _collect(mask.view(np.uint8), rows)]
