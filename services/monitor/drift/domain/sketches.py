"""Quantile sketches as bytes: made, added up, opened."""

from collections.abc import Sequence

import numpy as np
from datasketches import kll_floats_sketch
from numpy.typing import NDArray

SKETCH_K = 200
"""Rank error of a quantile 1.3 % at 99 % confidence (Karnin, Lang and Liberty 2016)."""


def sketch(values: Sequence[float] | NDArray[np.float32]) -> bytes:
    """Return a KLL sketch of the values; nothing for none."""
    if not len(values):
        return b""
    summary = kll_floats_sketch(SKETCH_K)
    summary.update(np.asarray(values, dtype=np.float32))
    return bytes(summary.serialize())


def opened(serialized: bytes) -> kll_floats_sketch:
    """Return the sketch that `sketch` or `merged` wrote."""
    return kll_floats_sketch.deserialize(serialized)


def merged(one: bytes, other: bytes) -> bytes:
    """Return the sketch of the values of both."""
    if not one or not other:
        return one or other
    summary = opened(one)
    summary.merge(opened(other))
    return bytes(summary.serialize())
