"""Codes: half a byte for every four numbers of a vector, to find candidates by. Immutable once they are made.

A product quantiser with sixteen values a part, compared thirty-two rows at a time in registers (FAISS' fast
scan; André et al., Quicker ADC, 2021). Rows lie in lists by their nearest centroid; a part of few rows has
one list. FAISS takes a selector for the kind with lists only, so one list it is, and not none: a mask then
costs no recall.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from services.shards.rows import Floats, Halves, Integers
from services.shards.vector_kernels import score_rows

SMALLEST = 16
"""Dimensions below which there is nothing to save."""
SAMPLE, LIST_SAMPLE = 4096, 64
"""Rows that values are learnt from; and rows for each list."""
ROUNDS = 8
SEED = 1
PIECE = 16_384
"""Rows that are float32 at once, while codes are made."""
WIDTHS = (4, 3, 5, 2, 6, 7, 8, 1)
"""Numbers that share half a byte, best first: four are one bit each."""


class CodeCandidates(NamedTuple):
    """Rows, ascending, and their approximate scores; all else in those lists has at most `beyond`."""

    rows: Integers
    approximations: Floats
    beyond: float
    """-inf: they hold nothing else."""

    def joined(self, other: "CodeCandidates") -> "CodeCandidates":
        """Return these and those of other lists; every row is in one list."""
        rows = np.concatenate([self.rows, other.rows])
        order = np.argsort(rows)
        approximations = np.concatenate([self.approximations, other.approximations])[order]
        return CodeCandidates(rows[order], approximations, max(self.beyond, other.beyond))


@dataclass(frozen=True, slots=True)
class Codes:
    """The index over one part's rows; searching it from many threads is safe."""

    index: Any  # Any: faiss has no types
    centroids: Halves
    """One row a list."""
    sizes: Integers
    """Rows of each list."""

    @property
    def rows(self) -> int:
        """How many rows have codes."""
        return int(self.index.ntotal)

    @property
    def lists(self) -> int:
        """How many lists there are."""
        return len(self.centroids)

    @property
    def bytes(self) -> int:
        """What codes and row numbers take."""
        return int(self.rows * (self.index.code_size + 8) + self.centroids.nbytes)

    def near_lists(self, query: Floats) -> tuple[Integers, Floats]:
        """Return the lists, the nearest first, and the scores of their centroids."""
        scores = score_rows(self.centroids, np.arange(self.lists), query)
        order = np.argsort(-scores, kind="stable")
        return order, scores[order]

    def candidates(
        self, query: Floats, depth: int, lists: Integers, *, bits: NDArray[np.uint8] | None = None
    ) -> CodeCandidates:
        """Return up to `depth` rows of some lists; `bits` are the rows that may be returned, packed."""
        depth = min(depth, self.rows)
        scores, rows = np.empty(depth, np.float32), np.empty(depth, np.int64)
        chosen, unused = np.ascontiguousarray(lists, np.int64), np.zeros(len(lists), np.float32)
        parameters = self._parameters(len(lists), bits)
        at = faiss.swig_ptr
        # FAISS' own Python method takes lists or parameters, not both; the one beneath it does.
        self.index.search_preassigned_c(
            1, at(query), depth, at(chosen), at(unused), at(scores), at(rows), False, parameters
        )
        size = int(np.searchsorted(rows < 0, True))
        order = np.argsort(rows[:size])
        beyond = float(scores[size - 1]) if size == depth < self.rows else -np.inf
        return CodeCandidates(rows[order], scores[order], beyond)

    @staticmethod
    def _parameters(lists: int, bits: NDArray[np.uint8] | None) -> Any:  # Any: faiss has no types
        if bits is None:
            return faiss.SearchParametersIVF(nprobe=lists)  # type: ignore[call-arg]  # faiss' wrapper
        selector = faiss.IDSelectorBitmap(bits)  # type: ignore[arg-type, call-arg]  # faiss' wrapper
        return faiss.SearchParametersIVF(nprobe=lists, sel=selector)  # type: ignore[call-arg]  # faiss' wrapper


def parts_of(dimensions: int) -> int | None:
    """Return how many parts a vector is cut into; None: too short to be cut."""
    if dimensions < SMALLEST:
        return None
    return next(dimensions // width for width in WIDTHS if dimensions % width == 0)


def lists_for(rows: int) -> int:
    """Return how many lists so many rows get, if several: about the square root, a power of two."""
    return max(2, 1 << round(math.log2(max(1, rows)) / 2))


def make_codes(vectors: Halves, lists: int = 1) -> Codes:
    """Learn codes from the rows and encode them; the same rows give the same codes.

    Raises ValueError when the vectors are too few or too short.
    """
    rows, dimensions = vectors.shape
    parts = parts_of(dimensions)
    if parts is None or rows < max(SMALLEST, lists):
        raise ValueError(f"{rows} rows of {dimensions} dimensions get no codes")
    faiss.omp_set_num_threads(1)  # of this thread: the other cores are for searches, and sums have one order
    quantizer = faiss.IndexFlatIP(dimensions)
    quantizer.add(_centroids(vectors, lists))
    index = faiss.IndexIVFPQFastScan(quantizer, dimensions, lists, parts, 4, faiss.METRIC_INNER_PRODUCT)
    quantizer.this.disown()  # type: ignore[attr-defined]  # added by SWIG
    index.own_fields = True
    index.by_residual = False
    index.pq.cp.seed, index.pq.cp.niter, index.pq.cp.min_points_per_centroid = SEED, ROUNDS, 1
    index.pq.cp.max_points_per_centroid = SAMPLE
    index.train(_sample(vectors, SAMPLE))
    for start in range(0, rows, PIECE):
        index.add(vectors[start : start + PIECE].astype(np.float32))
    return _opened(index)


def read_codes(content: bytes | NDArray[np.uint8], vectors: Halves) -> Codes:
    """Read codes whose checksum was verified; raises ValueError when they are not codes of these rows."""
    try:
        index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
    except RuntimeError as error:
        raise ValueError(f"not an index: {str(error).splitlines()[0]}") from error
    if not isinstance(index, faiss.IndexIVFPQFastScan):
        raise ValueError(f"an index of another kind: {type(index).__name__}")  # noqa: TRY004 - content, no type
    rows, dimensions = vectors.shape
    if (index.ntotal, index.d, index.metric_type) != (rows, dimensions, faiss.METRIC_INNER_PRODUCT):
        raise ValueError(f"codes of {index.ntotal} rows of {index.d} for {rows} rows of {dimensions}")
    if index.by_residual or parts_of(dimensions) != index.M or index.quantizer.ntotal != index.nlist:
        raise ValueError("codes that were made in another way")
    codes = _opened(index)
    _check_rows(index, codes.sizes)
    return codes


def write_codes(codes: Codes) -> bytes:
    """Return the bytes that `read_codes` reads."""
    return bytes(faiss.serialize_index(codes.index))


def _opened(index: Any) -> Codes:  # Any: faiss has no types
    centroids = faiss.downcast_index(index.quantizer).reconstruct_n(0, index.nlist)
    sizes = [index.invlists.list_size(number) for number in range(index.nlist)]
    return Codes(index, centroids.astype(np.float16), np.array(sizes, np.int64))


def _check_rows(index: Any, sizes: Integers) -> None:  # Any: faiss has no types
    """Raise ValueError unless the lists hold every row once: a search reads memory by these numbers."""
    lists = [
        faiss.rev_swig_ptr(index.invlists.get_ids(number), int(size))
        for number, size in enumerate(sizes.tolist())
        if size
    ]
    held = np.concatenate(lists) if lists else np.empty(0, np.int64)
    if held.size != index.ntotal or not np.array_equal(np.sort(held), np.arange(index.ntotal)):
        raise ValueError("the lists do not hold every row once")


def _sample(vectors: Halves, size: int) -> Floats:
    if len(vectors) <= size:
        return vectors.astype(np.float32)
    chosen = np.random.default_rng(SEED).choice(len(vectors), size, replace=False)
    return vectors[np.sort(chosen)].astype(np.float32)


def _centroids(vectors: Halves, count: int) -> Floats:
    dimensions = vectors.shape[1]
    if count == 1:
        return np.zeros((1, dimensions), np.float32)
    means = faiss.Kmeans(
        dimensions, count, niter=ROUNDS, spherical=True, seed=SEED, max_points_per_centroid=LIST_SAMPLE
    )
    means.train(_sample(vectors, count * LIST_SAMPLE))
    return np.asarray(means.centroids, np.float32)
