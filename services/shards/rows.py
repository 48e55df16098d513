"""Rows: the vectors of products, a row a passage; what the head and the segments share."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shards.domain.bitmap import Mask

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Integers = NDArray[np.int64]


class Rows(NamedTuple):
    """The vectors of products, those of one product beside each other, in the order of its passages.

    `vectors` [r, dimensions], unit rows; `starts` [n + 1]: the product at place p has the rows from
    `starts[p]` to `starts[p + 1]`; `places` [r]: whose each row is.
    """

    vectors: Halves
    starts: Integers
    places: NDArray[np.uint32]
    single: bool
    """Every product has one row, which has the number of its place."""

    def of(self, place: int) -> slice:
        """Return the rows of a product."""
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    def counts(self) -> Integers:
        """Return how many rows each product has."""
        return np.diff(self.starts)

    def taken(self, chosen: Mask) -> "Rows":
        """Return copies of the rows of the chosen products."""
        kept = chosen[self.places]
        return stacked(np.ascontiguousarray(self.vectors[kept]), self.counts()[chosen])


def stacked(vectors: Halves, counts: Integers) -> Rows:
    """Return the rows of products, given how many each of them has."""
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    places = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    return Rows(vectors, starts, places, bool((counts == 1).all()))
