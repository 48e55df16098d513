"""Which of many scores are the best, and all that equal the last of them: who asks breaks the ties."""

from typing import Any

import numpy as np

from shared.compiled import compiled


@compiled
def least_of_best(scores: Any, k: Any) -> Any:  # Any: numba has no types
    """Return the `k`-th highest of float32 scores, the lowest of all where there are fewer; -inf of none."""
    heap = np.empty(max(k, 1), np.float32)
    held = 0
    for score in scores:
        if held < k:
            _add(heap, held, score)
            held += 1
        elif score > heap[0]:
            _put_first(heap, held, score)
    return heap[0] if held else np.float32(-np.inf)


@compiled
def _add(heap: Any, size: Any, score: Any) -> None:  # Any: as above
    """Add to a heap whose least is its first."""
    at = size
    while at and heap[(at - 1) // 2] > score:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = score


@compiled
def _put_first(heap: Any, size: Any, score: Any) -> None:  # Any: as above
    """Take the least out and put another in."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= score:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = score
