"""What a model gives, made into what an index keeps: rows of length one."""

import numpy as np

from shared.arrays import Vectors
from shared.errors import FatalError

UNIT_TOLERANCE = 1e-3


def shortened(rows: Vectors, *, width: int, dimensions: int) -> Vectors:
    """Return the first `dimensions` numbers of rows of `width`; raises `FatalError` when they are not."""
    if rows.shape[1] != width:
        raise FatalError(f"the model gave {rows.shape[1]} numbers a text, its configuration says {width}")
    return rows[:, :dimensions]


def unit(rows: Vectors) -> Vectors:
    """Return the rows at unit length; raises `FatalError` when one has none (an index would be poisoned)."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise FatalError("the model gave a vector that is zero or not finite: its weights are damaged")
    if np.abs(norms - 1).max() > UNIT_TOLERANCE:
        rows = rows / norms
    return rows.astype(np.float32, copy=False)
