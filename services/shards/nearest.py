"""The products of a part that are nearest to a vector, each as its best passage."""

from typing import NamedTuple

import numpy as np

from services.shards.dense import DenseSearch
from services.shards.domain.bitmap import Mask
from services.shards.part import PartView
from services.shards.rows import Floats, Integers
from services.shards.vector_kernels import rows_of, score_rows
from shared.retrieval.selection import least_of_best

NO_ROWS = np.empty(0, np.int64)
DEEPER = 4
"""How many times as many rows are asked for when those at hand are of too few products."""


class RowScores(NamedTuple):
    """Products by place, the score of the best passage of each (NaN: it has none), and that passage's row."""

    places: Integers
    scores: Floats
    rows: Integers

    def taken(self, chosen: Mask) -> "RowScores":
        """Return those that are chosen."""
        return RowScores(self.places[chosen], self.scores[chosen], self.rows[chosen])


def nearest_rows(part: PartView, vector: Floats, k: int, *, allowed: Mask, exact: bool = False) -> RowScores:
    """Return the `k` nearest of the products that are allowed, and all that equal the last of them.

    By the part's codes where it has some; `exact` looks at all. Nothing is near to a vector with NaN.
    """
    if not np.isfinite(vector).all():
        return RowScores(NO_ROWS, np.empty(0, np.float32), NO_ROWS)
    mask = allowed if part.rows.single else part.row_mask(allowed)
    if part.funnel is None or exact:
        best = _best_of_rows(part, rows_of(mask), vector)
    else:
        best = _by_codes(part, DenseSearch(part.funnel, vector, mask=mask), k)
    if k < len(best.places):
        return best.taken(best.scores >= least_of_best(best.scores, k))
    return best


def _best_of_rows(part: PartView, rows: Integers, vector: Floats) -> RowScores:
    return _best_passages_of(part, rows, inner_products(part, rows, vector))


def _by_codes(part: PartView, search: DenseSearch, k: int) -> RowScores:
    """Return products by their nearest rows, `k` at least; a product may have many rows among the nearest."""
    wanted = k
    while True:
        rows, scores = search.best(wanted)
        best = _best_passages_of(part, rows, scores)
        if len(best.places) >= k or wanted >= search.selected:
            return best
        wanted *= DEEPER


def scores_of_rows(part: PartView, vector: Floats, places: Integers) -> RowScores:
    """Return the best passage of each of these products."""
    if part.rows.single:
        return RowScores(places, inner_products(part, places, vector), places)
    starts, ends = part.rows.starts[places], part.rows.starts[places + 1]
    counts = ends - starts
    rows = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
    owners = np.repeat(np.arange(len(places)), counts)
    scores = np.full(len(places), np.nan, np.float32)
    best_rows = starts.copy()
    best = _best_passages(owners, inner_products(part, rows, vector), rows)
    scores[best.places], best_rows[best.places] = best.scores, best.rows
    return RowScores(places, scores, best_rows)


def inner_products(part: PartView, rows: Integers, vector: Floats) -> Floats:
    """Return the inner product of each of these rows with the vector."""
    return score_rows(part.rows.vectors, rows, vector)


def _best_passages_of(part: PartView, rows: Integers, scores: Floats) -> RowScores:
    """Return of each product the best of these rows."""
    if part.rows.single:
        return RowScores(rows, scores, rows)
    return _best_passages(part.rows.places[rows].astype(np.int64), scores, rows)


def _best_passages(owners: Integers, scores: Floats, rows: Integers) -> RowScores:
    """Return of each owner the row with the highest score, the first of equal ones."""
    order = np.lexsort((rows, -scores, owners))
    first = np.flatnonzero(np.append(True, owners[order][1:] != owners[order][:-1])) if len(owners) else order
    chosen = order[first]
    return RowScores(owners[chosen], scores[chosen], rows[chosen])
