"""The products of a part that are nearest to a vector, each as its best passage."""

from typing import NamedTuple

import numpy as np

from services.shards.domain.bitmap import Mask
from services.shards.part import PartView
from services.shards.rows import Floats, Integers
from shared.retrieval.selection import least_of_best


class RowScores(NamedTuple):
    """Products by place, the score of the best passage of each (NaN: it has none), and that passage's row."""

    places: Integers
    scores: Floats
    rows: Integers

    def taken(self, chosen: Mask) -> "RowScores":
        """Return those that are chosen."""
        return RowScores(self.places[chosen], self.scores[chosen], self.rows[chosen])


def nearest_rows(part: PartView, vector: Floats, k: int, *, allowed: Mask) -> RowScores:
    """Return the `k` nearest of the products that are allowed, and all that equal the last of them."""
    rows = np.flatnonzero(allowed[part.rows.places])
    scores = inner_products(part, rows, vector)
    finite = np.isfinite(scores)
    best = _best_passages(part.rows.places[rows[finite]].astype(np.int64), scores[finite], rows[finite])
    if k < len(best.places):
        chosen = best.scores >= least_of_best(best.scores, k)
        return best.taken(chosen)
    return best


def scores_of_rows(part: PartView, vector: Floats, places: Integers) -> RowScores:
    """Return the best passage of each of these products."""
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
    products: Floats = (part.rows.vectors[rows].astype(np.float32) * vector).sum(axis=1, dtype=np.float32)
    return products


def _best_passages(owners: Integers, scores: Floats, rows: Integers) -> RowScores:
    """Return of each owner the row with the highest score, the first of equal ones; owners ascend."""
    order = np.lexsort((rows, -scores, owners))
    first = np.flatnonzero(np.append(True, owners[order][1:] != owners[order][:-1])) if len(owners) else order
    chosen = order[first]
    return RowScores(owners[chosen], scores[chosen], rows[chosen])
