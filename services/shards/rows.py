"""Rows: one passage each, of one record; the columns that the head and the segments share."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.shards.domain.bitmap import Mask

ROW = np.dtype(
    [
        ("offset", "<i8"),
        ("passage", "<i4"),
        ("topic", "<i4"),
        ("partition", "<i4"),
        ("epoch", "<i8"),
        ("source", "<i8"),
    ]
)
"""Offset of the record in the shard's log; passage (-1: the product has no vector); its origin."""

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Integers = NDArray[np.int64]


class Rows(NamedTuple):
    """Columns of equal length, in the order of the log; `ids` are ASCII, `vectors` float16 unit rows."""

    ids: NDArray[np.bytes_]
    table: NDArray[np.void]
    vectors: Halves

    def take(self, chosen: Mask) -> "Rows":
        """Return copies of the chosen rows."""
        return Rows(self.ids[chosen], self.table[chosen], np.ascontiguousarray(self.vectors[chosen]))


class Unit(Protocol):
    """Something that holds rows and finds the nearest: the head, or a segment. Immutable to its reader."""

    @property
    def name(self) -> str:
        """Which unit this is."""
        ...

    @property
    def ids(self) -> NDArray[np.bytes_]:
        """Product id of each row."""
        ...

    @property
    def table(self) -> NDArray[np.void]:
        """Offset, passage and origin of each row."""
        ...

    @property
    def offsets(self) -> Integers:
        """Record offset of each row, ascending."""
        ...

    def search(self, query: Floats, k: int, mask: Mask) -> tuple[Integers, Floats]:
        """Return up to `k` rows inside the mask with the highest inner products, best first."""
        ...

    def scan(self, query: Floats, k: int, mask: Mask) -> tuple[Integers, Floats]:
        """Do the same exactly, whatever index there is."""
        ...

    def vectors_of(self, rows: Integers) -> Floats:
        """Return the kept vectors of these rows."""
        ...

    def rows(self) -> Rows:
        """Return the columns."""
        ...


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A unit and the rows of it that count in one view."""

    unit: Unit
    live: Mask
    searchable: Mask
    """Live rows that have a vector."""
    rows: int
    """How many of them."""

    @classmethod
    def of(cls, unit: Unit, live: Mask) -> "SegmentView":
        """Return the part with its derived masks."""
        searchable = live & (unit.table["passage"] >= 0)
        return cls(unit, live, searchable, int(searchable.sum()))


def best(scores: Floats, k: int) -> Integers:
    """Return the positions of the `k` highest finite scores, best first, ties in row order."""
    if k < scores.size:
        chosen = np.argpartition(-scores, k - 1)[:k] if k > 0 else np.empty(0, np.int64)
    else:
        chosen = np.arange(scores.size)
    chosen = chosen[np.isfinite(scores[chosen])]
    return chosen[np.lexsort((chosen, -scores[chosen]))].astype(np.int64)
