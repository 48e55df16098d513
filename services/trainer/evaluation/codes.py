"""What is left of a ranking when vectors are cut short and coded in few bits.

A scan of all codes, in NumPy: what is measured is what a code costs in quality. The shards' index adds its
own losses, which its recall test bounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.ports import Vectors

Precision = Literal["fp32", "int8", "binary"]
BITS: dict[Precision, int] = {"fp32": 32, "int8": 8, "binary": 1}
OVERSAMPLING = 4
"""Candidates a code proposes for each result when exact scores decide afterwards."""
KEPT_BYTES = 2
"""A dimension of the vectors that are kept to score exactly (fp16)."""


@dataclass(frozen=True, slots=True)
class Code:
    """The first `dimensions` of a unit vector in some precision; `rescored` by the whole vectors after."""

    dimensions: int
    precision: Precision = "fp32"
    rescored: bool = False

    @property
    def name(self) -> str:
        """Return what it is called in a table."""
        return f"{self.dimensions} {self.precision}{' rescored' if self.rescored else ''}"

    def bytes(self, full: int) -> float:
        """Return the bytes of a document, with what is kept to rescore."""
        kept = KEPT_BYTES * full if self.rescored else 0
        return self.dimensions * BITS[self.precision] / 8 + kept


def codes(full: int, shares: Sequence[float]) -> Iterator[Code]:
    """Yield every size, and at each size every precision with and without rescoring."""
    for share in shares:
        size = max(1, round(share * full))
        yield Code(size)
        for precision in ("int8", "binary"):
            yield from (Code(size, precision, rescored) for rescored in (False, True))


def search(queries: Vectors, documents: Vectors, code: Code, *, depth: int) -> NDArray[np.int64]:
    """Return (queries, depth) numbers of documents, best first; equal scores in order of the number."""
    depth = min(depth, len(documents))
    scores = _scores(queries, documents, code)
    if not code.rescored:
        return _best(scores, depth)
    proposed = np.sort(_best(scores, min(OVERSAMPLING * depth, len(documents))), axis=1)
    kept = documents.astype(np.float16).astype(np.float32)
    exact = np.einsum("qd,qnd->qn", queries, kept[proposed])
    return np.take_along_axis(proposed, _best(exact, depth), axis=1)


def _scores(queries: Vectors, documents: Vectors, code: Code) -> Vectors:
    one, other = (_unit(rows[:, : code.dimensions]) for rows in (queries, documents))
    if code.precision == "binary":
        one, other = (np.where(rows >= 0, np.float32(1), np.float32(-1)) for rows in (one, other))
    if code.precision == "int8":
        other = _int8(other)
    found: Vectors = one @ other.T
    return found


def _int8(rows: Vectors) -> Vectors:
    """Return the rows as 256 levels a dimension have them, between its least and greatest value."""
    low = rows.min(axis=0)
    step = np.maximum((rows.max(axis=0) - low) / 255, np.float32(1e-12))
    decoded: Vectors = np.round((rows - low) / step) * step + low
    return decoded


def _unit(rows: Vectors) -> Vectors:
    unit: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _best(scores: Vectors, depth: int) -> NDArray[np.int64]:
    return np.argsort(-scores, axis=1, kind="stable")[:, :depth]
