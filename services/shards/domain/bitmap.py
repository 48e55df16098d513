"""Live-row bitmaps: one bit a row, least significant first, as FAISS and the manifest hold them."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def pack(mask: Mask) -> NDArray[np.uint8]:
    """Return the mask as bits; row `i` is bit `i % 8` of byte `i // 8`."""
    return np.packbits(mask, bitorder="little")


def unpack(bits: bytes, rows: int) -> Mask:
    """Return the mask of `rows` rows; raises ValueError when the bitmap has another length."""
    if len(bits) != (rows + 7) // 8:
        raise ValueError(f"a bitmap of {len(bits)} bytes cannot describe {rows} rows")
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=rows, bitorder="little").astype(np.bool_)


def spans(sorted_values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions in `sorted_values` of every value that is in `wanted` (runs included)."""
    first = np.searchsorted(sorted_values, wanted, side="left")
    counts = np.searchsorted(sorted_values, wanted, side="right") - first
    starts = np.repeat(first, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    positions: NDArray[np.int64] = (starts + within).astype(np.int64)
    return positions


def member(values: NDArray[np.int64], sorted_wanted: NDArray[np.int64]) -> Mask:
    """Say for each value whether it is in `sorted_wanted`."""
    if not sorted_wanted.size:
        return np.zeros(values.shape, np.bool_)
    places = np.minimum(np.searchsorted(sorted_wanted, values), sorted_wanted.size - 1)
    same: Mask = sorted_wanted[places] == values
    return same
