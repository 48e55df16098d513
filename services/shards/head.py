"""The mutable head: rows not sealed yet, searched exactly, visible as soon as they are appended."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.shards.domain.bitmap import Mask
from services.shards.rows import ROW, Floats, Integers, Rows, best

NAME = "head"


@dataclass(frozen=True, slots=True)
class HeadView:
    """The head as it was at one moment: later appends go behind it and do not touch it."""

    ids: NDArray[np.bytes_]
    table: NDArray[np.void]
    offsets: Integers
    vectors: Floats
    name: str = NAME

    def search(self, query: Floats, k: int, mask: Mask) -> tuple[Integers, Floats]:
        """One matrix product over all rows."""
        scores = np.where(mask, self.vectors @ query, -np.inf).astype(np.float32)
        rows = best(scores, k)
        return rows, scores[rows]

    scan = search

    def vectors_of(self, rows: Integers) -> Floats:
        """Return float32 copies."""
        return self.vectors[rows]

    def rows(self) -> Rows:
        """Return the columns as a segment keeps them; float16 is exact, the vectors arrived in it."""
        return Rows(self.ids, self.table, self.vectors.astype(np.float16))


class Head:
    """Appends rows to arrays that grow by doubling; one writer, any number of readers of its views."""

    def __init__(self, dimensions: int, capacity: int = 1024) -> None:
        self._ids = np.zeros(capacity, "S128")
        self._table = np.zeros(capacity, ROW)
        self._vectors = np.zeros((capacity, dimensions), np.float32)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: Rows) -> None:
        """Add rows at the end; views made before do not see them."""
        end = self._rows + len(rows.ids)
        if end > len(self._ids):
            self._grow(max(end, 2 * len(self._ids)))
        self._ids[self._rows : end] = rows.ids
        self._table[self._rows : end] = rows.table
        self._vectors[self._rows : end] = rows.vectors
        self._rows = end

    def view(self) -> HeadView:
        """Return what is in the head now."""
        table = self._table[: self._rows]
        return HeadView(
            self._ids[: self._rows],
            table,
            np.ascontiguousarray(table["offset"]),
            self._vectors[: self._rows],
        )

    def _grow(self, capacity: int) -> None:
        ids, table = np.zeros(capacity, "S128"), np.zeros(capacity, ROW)
        vectors = np.zeros((capacity, self._vectors.shape[1]), np.float32)
        ids[: self._rows] = self._ids[: self._rows]
        table[: self._rows] = self._table[: self._rows]
        vectors[: self._rows] = self._vectors[: self._rows]
        self._ids, self._table, self._vectors = ids, table, vectors
