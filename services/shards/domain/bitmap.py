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
