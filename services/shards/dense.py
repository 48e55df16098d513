"""The dense funnel: candidates by codes, scored exactly, in one immutable part of a shard.

Only which rows are looked at depends on the codes. Every score is that of the kept vector, so an answer
that the codes find is the answer that a scan gives, bit by bit.

A mask goes into the comparison of codes, so what it leaves out costs nothing but its time. What a mask does
change is where its neighbours lie: further away, among rows that codes cannot tell apart, or in lists that
are far from the query. Both are noticed by the exact scores: see `_more_lists` and `_indistinct`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shards.admission import SCAN_ROWS, K, RecallReport
from services.shards.codes import CodeCandidates, Codes
from services.shards.rows import Floats, Halves, Integers
from services.shards.vector_kernels import best_rows, rows_of, score_rows

FILTERED_DEPTH = 2
"""How much deeper a filtered search looks: its neighbours lie closer together."""
FILTERED = 0.9
"""A mask with less of the rows than this is a filter; with more, it leaves out the dead."""
EXACT = 0.01
"""A mask with so little of the rows is scanned."""
MASKED_ROWS = 12
"""One exact row costs as much as comparing so many codes under a mask."""
HOPE = 1.25
"""So many times as much a scan must cost, for another look at codes to be worth its chance."""
LOOK = 4500
"""So many exact rows cost what a look at codes costs, however few there are."""
SPREAD = 3.5
"""Standard deviations of what codes are wrong by, that the last candidate must lie below the last answer."""
SECOND = 4
"""How much deeper it is looked where it does not; where it still does not, the mask is scanned."""
TIES = 256

Mask = NDArray[np.bool_]


class Nearest(NamedTuple):
    """Rows by falling exact score, then by row; more than were asked for when the last ones tie."""

    rows: Integers
    scores: Floats


@dataclass(frozen=True, slots=True)
class DensePart:
    """One part's vectors (float16 unit rows), its codes, and how they are to be used."""

    vectors: Halves
    codes: Codes | None
    admission: RecallReport

    def __post_init__(self) -> None:
        codes = 0 if self.codes is None else self.codes.rows
        if self.vectors.dtype != np.float16 or not self.vectors.flags.c_contiguous:
            raise ValueError("vectors must be float16 rows, one after the other")
        if self.admission.rows != len(self.vectors) or codes not in (0, len(self.vectors)):
            raise ValueError(
                f"{len(self.vectors)} vectors, {codes} codes, a report of {self.admission.rows} rows"
            )
        if (self.codes is None) != (self.admission.kind == "scan"):
            raise ValueError(f"a part that is searched by {self.admission.kind} has codes, or has none")

    @property
    def bytes(self) -> int:
        """What codes take beside the vectors."""
        return 0 if self.codes is None else self.codes.bytes


class DenseSearch:
    """One query to one part; asking again for more goes on from what is known."""

    def __init__(
        self, part: DensePart, query: Floats, *, mask: Mask | None = None, exact: bool = False
    ) -> None:
        """Raise ValueError for a query or a mask of another shape, or a query with NaN or infinity."""
        rows, dimensions = part.vectors.shape
        if query.shape != (dimensions,) or not np.isfinite(query).all():
            raise ValueError(f"a query is {dimensions} finite numbers")
        if mask is not None and mask.shape != (rows,):
            raise ValueError(f"a mask of {mask.size} for {rows} rows")
        self._part = part
        self._query = np.ascontiguousarray(query, np.float32)
        self.selected = rows if mask is None else int(np.count_nonzero(mask))
        """How many rows may be answers."""
        self._mask = None if mask is None or self.selected == rows else np.ascontiguousarray(mask)
        self._exact = exact or part.codes is None or self.selected <= EXACT * rows
        self._rows, self._scores = np.empty(0, np.int64), np.empty(0, np.float32)
        self._depth = -1
        self.scanned = False
        """Whether every row that may be an answer was scored."""

    def best(self, k: int) -> Nearest:
        """Return the `k` nearest rows inside the mask, or as many as there are."""
        if k <= 0 or not self.selected:
            return Nearest(self._rows[:0], self._scores[:0])
        depth = self._needed(k)
        if not self.scanned and depth > self._depth:
            codes = self._part.codes
            if codes is None or self._exact or self._dear(codes, depth):
                self._scan()
            else:
                self._look(codes, k, depth)
                self._depth = depth
        return Nearest(*best_rows(self._rows, self._scores, k, ties=TIES))

    @property
    def _filtered(self) -> bool:
        return self.selected < FILTERED * len(self._part.vectors)

    def _needed(self, k: int) -> int:
        """Return how many candidates are looked at for `k` answers."""
        admitted = self._part.admission.depth * (FILTERED_DEPTH if self._filtered else 1)
        return admitted + self._part.admission.deeper * max(0, k - K)

    def _dear(self, codes: Codes, depth: int) -> bool:
        """Whether scoring all that may be answers costs less than comparing codes."""
        return self.selected <= self._cost(codes, depth)

    def _cost(self, codes: Codes, depth: int) -> int:
        """Return as many exact rows as cost what a look at the codes costs."""
        looked = int(codes.sizes.mean() * self._part.admission.probes)
        return LOOK + depth + looked // (MASKED_ROWS if self._filtered else SCAN_ROWS)

    def _scan(self) -> None:
        rows = np.arange(len(self._part.vectors)) if self._mask is None else rows_of(self._mask)
        self._rows, self._scores = rows, score_rows(self._part.vectors, rows, self._query)
        self.scanned = True

    def _look(self, codes: Codes, k: int, depth: int) -> None:
        """Score candidates exactly, of more lists and more of them where the scores ask for it."""
        bits = None if self._mask is None else np.packbits(self._mask, bitorder="little")
        lists, centres = codes.near_lists(self._query)
        probes = self._part.admission.probes
        candidates = self._keep(codes.candidates(self._query, depth, lists[:probes], bits=bits))
        if not self._filtered and k <= K:
            return
        more = self._more_lists(k, centres[probes:])
        if self._dearer(codes, lists[probes : probes + more]):
            self._scan()
            return
        if more:
            rest = codes.candidates(self._query, depth, lists[probes : probes + more], bits=bits)
            candidates = self._keep(candidates.joined(rest))
        if self._filtered and self._indistinct(k, candidates):
            self._look_again(codes, k, depth * SECOND, lists=lists[: probes + more], bits=bits)

    def _look_again(
        self, codes: Codes, k: int, depth: int, *, lists: Integers, bits: NDArray[np.uint8] | None
    ) -> None:
        """Look deeper once, where that costs clearly less than a scan, which may be needed all the same."""
        if self.selected > HOPE * self._cost(codes, depth):
            candidates = codes.candidates(self._query, depth, lists, bits=bits)
            if not self._indistinct(k, self._keep(candidates)):
                return
        self._scan()

    def _keep(self, candidates: CodeCandidates) -> CodeCandidates:
        self._rows = candidates.rows
        self._scores = score_rows(self._part.vectors, self._rows, self._query)
        return candidates

    def _last(self, k: int) -> float:
        """Return the score of the last answer so far; -inf when there are not as many."""
        if self._scores.size < k:
            return -np.inf
        return float(np.partition(self._scores, self._scores.size - k)[self._scores.size - k])

    def _more_lists(self, k: int, centres: Floats) -> int:
        """Return how many further lists may hold an answer: their centroids are near enough to the last."""
        return int(np.count_nonzero(centres >= self._last(k) - self._part.admission.reach))

    def _dearer(self, codes: Codes, lists: Integers) -> bool:
        """Whether comparing the codes of some lists costs more than scoring all that may be answers."""
        return int(codes.sizes[lists].sum()) > MASKED_ROWS * self.selected

    def _indistinct(self, k: int, candidates: CodeCandidates) -> bool:
        """Whether rows that are no candidates may be answers, by how wrong codes were about those that are.

        Under a filter that cuts through a crowd (all that is far from the query, say) thousands of rows
        score within what codes are wrong by.
        """
        if candidates.beyond == -np.inf:
            return False
        wrong = self._scores - candidates.approximations
        return float(candidates.beyond + wrong.mean() + SPREAD * wrong.std()) > self._last(k)


def nearest(
    part: DensePart, query: Floats, k: int, *, mask: Mask | None = None, exact: bool = False
) -> Nearest:
    """Return the `k` rows of a part nearest to a query (float32), with their exact scores.

    `mask` are the rows that may be answers; `exact` scores them all. Raises ValueError as `DenseSearch` does.
    """
    return DenseSearch(part, query, mask=mask, exact=exact).best(k)


def scored(part: DensePart, query: Floats, rows: Integers) -> Floats:
    """Return the exact scores of some rows; raises ValueError for a row that is not there."""
    wanted = np.ascontiguousarray(rows, np.int64)
    if wanted.size and not 0 <= int(wanted.min()) <= int(wanted.max()) < len(part.vectors):
        raise ValueError(f"rows {int(wanted.min())} to {int(wanted.max())} of {len(part.vectors)}")
    return score_rows(part.vectors, wanted, np.ascontiguousarray(query, np.float32))
