"""The recall of the live index, measured all the time: one of so many searches is repeated exactly.

And the queries of late, by which new codes are tested.
"""

import threading
from collections import deque

import numpy as np
from prometheus_client import Histogram

from services.shards.rows import Floats

recall = Histogram(
    "headrace_shard_recall",
    "Share of the exact answer that a search found, of searches that were repeated exactly",
    buckets=(0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.999, 1.0),
)

KEPT = 100


class RecentQueries:
    """The last vectors that were asked for. Any number of threads may add and read."""

    def __init__(self) -> None:
        self._vectors = deque[Floats](maxlen=KEPT)

    def add(self, vector: Floats) -> None:
        """Note a query's vector, which nobody changes afterwards."""
        self._vectors.append(vector)

    def vectors(self, dimensions: int) -> Floats:
        """Return those that have so many dimensions and are numbers, as rows, the newest last."""
        rows = [one for one in tuple(self._vectors) if one.shape == (dimensions,) and np.isfinite(one).all()]
        return np.stack(rows) if rows else np.empty((0, dimensions), np.float32)


class RecallSampler:
    """Says which searches to repeat, and counts what they had found. Any number of threads may ask."""

    def __init__(self, every: int) -> None:
        """Choose every `every`-th search; 0: none."""
        self._every = every
        self._searches = 0
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether this search is to be repeated; counts it."""
        if self._every <= 0:
            return False
        with self._lock:
            self._searches += 1
            return self._searches % self._every == 0

    @staticmethod
    def observe(answer: Floats, exact: Floats) -> float:
        """Count and return the recall of a search, by the scores of its k answers and of the exact ones.

        By scores, not rows: of rows that tie with the last answer either is right. Nothing to find is found.
        """
        share = recall_of(answer, exact)
        recall.observe(share)
        return share


def recall_of(answer: Floats, exact: Floats) -> float:
    """Return which share of the exact answers is as good among those that were found."""
    if not exact.size:
        return 1.0
    return min(1.0, float((answer[: exact.size] >= exact.min()).sum()) / exact.size)
