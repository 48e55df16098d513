"""What is left of a ranking when vectors are cut short and coded in few bits.

A scan of all codes, by FAISS: what is measured is what a code costs, in quality and time. The shards' index
adds its own losses, which its recall test bounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from shared.arrays import Vectors

Precision = Literal["fp32", "int8", "binary"]
BITS: dict[Precision, int] = {"fp32": 32, "int8": 8, "binary": 1}
LENGTHS = (1.0, 1 / 2, 1 / 3, 1 / 6)
"""Shares of the dimensions that are tried."""
OVERSAMPLING = 4
"""Candidates a code proposes for each result when exact scores decide afterwards."""
KEPT_BYTES = 2
"""A dimension of the vectors that are kept to score exactly (fp16)."""


@dataclass(frozen=True, slots=True)
class Code:
    """The first `share` of a unit vector's dimensions in some precision.

    `rescored`: the whole vectors decide among what the code proposes.
    """

    share: float = 1.0
    precision: Precision = "fp32"
    rescored: bool = False

    def size(self, full: int) -> int:
        """Return the dimensions that are kept of `full`."""
        return max(1, round(self.share * full))

    def name(self, full: int) -> str:
        """Return what it is called in a table."""
        return f"{self.size(full)} {self.precision}{' rescored' if self.rescored else ''}"

    def bytes(self, full: int) -> float:
        """Return the bytes of a document, with what is kept to rescore."""
        kept = KEPT_BYTES * full if self.rescored else 0
        return self.size(full) * BITS[self.precision] / 8 + kept


WHOLE = Code()


def codes(shares: Sequence[float]) -> Iterator[Code]:
    """Yield every size, and at each size every precision with and without rescoring."""
    for share in shares:
        yield Code(share)
        for precision in ("int8", "binary"):
            yield from (Code(share, precision, rescored) for rescored in (False, True))


class Coded:
    """A corpus in one code, to be scanned."""

    def __init__(self, documents: Vectors, code: Code) -> None:
        faiss.omp_set_num_threads(1)  # on a busy machine its threads wait for each other: 40 ms, not 0.1
        self._code = code
        self._size = code.size(documents.shape[1])
        self._count = len(documents)
        self._kept = documents.astype(np.float16) if code.rescored else documents[:0]
        self._index = _index(code.precision, self._size)
        rows = self._coded(documents)
        if not self._index.is_trained:
            self._index.train(rows)
        self._index.add(rows)

    def search(self, queries: Vectors, *, depth: int) -> NDArray[np.int64]:
        """Return (queries, at most depth) numbers of documents, best first."""
        depth = min(depth, self._count)
        wanted = min(OVERSAMPLING * depth, self._count) if self._code.rescored else depth
        _, numbers = self._index.search(self._coded(queries), wanted)
        if not self._code.rescored:
            return np.asarray(numbers, np.int64)
        proposed = np.sort(numbers, axis=1)  # so that of equal exact scores the order is always the same
        exact = np.einsum("qd,qnd->qn", queries, self._kept[proposed].astype(np.float32))
        best = np.argsort(-exact, axis=1, kind="stable")[:, :depth]
        return np.take_along_axis(proposed, best, axis=1)

    def _coded(self, rows: Vectors) -> NDArray[Any]:  # Any: floats, or bytes of bits
        cut = np.ascontiguousarray(rows[:, : self._size])
        if self._code.precision == "binary":
            return np.packbits(cut >= 0, axis=1)
        unit: Vectors = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-12)
        return unit


def _index(precision: Precision, size: int) -> Any:  # Any: FAISS has no types
    if precision == "binary":
        return faiss.IndexBinaryFlat(8 * -(-size // 8))
    if precision == "int8":
        return faiss.IndexScalarQuantizer(size, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexFlatIP(size)
