"""Immutable segments: rows and one FAISS index on disk; which rows live is kept outside, in the view."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from services.shards.domain.bitmap import Mask, pack
from services.shards.files import Files
from services.shards.rows import Floats, Integers, Rows, best

FLAT_ROWS = 1024
SCAN_ROWS = 8192
IDS, TABLE, VECTORS, INDEX = "ids.npy", "rows.npy", "vectors.npy", "index.faiss"


def choose_index(rows: int, dimensions: int) -> Any:  # Any: faiss has no types
    """Return an empty index of the kind that suits a segment of that size (inner product).

    Both kinds are exhaustive and give the scores of the kept float16 vectors. The float16 one reads half
    the memory for each query, the flat one is built without conversion.
    """
    if rows <= FLAT_ROWS:
        return faiss.IndexFlatIP(dimensions)
    kind = faiss.ScalarQuantizer.QT_fp16
    return faiss.IndexScalarQuantizer(dimensions, kind, faiss.METRIC_INNER_PRODUCT)


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that never change, with their index; searching it from many threads is safe."""

    name: str
    ids: NDArray[np.bytes_]
    table: NDArray[np.void]
    offsets: Integers
    vectors: NDArray[np.float16]
    index: Any  # Any: faiss has no types

    def search(self, query: Floats, k: int, mask: Mask) -> tuple[Integers, Floats]:
        """Search the FAISS index inside the mask; its padding (-1) and what is not finite are dropped."""
        bits = pack(mask)
        selector = faiss.IDSelectorBitmap(bits)  # type: ignore[arg-type, call-arg]  # faiss' wrapper
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # added by faiss' wrapper
        scores, rows = self.index.search(query[None, :], min(k, len(self.ids)), params=parameters)
        real = (rows[0] >= 0) & np.isfinite(scores[0])
        nearest, values = rows[0][real], scores[0][real]
        order = np.lexsort((nearest, -values))
        return nearest[order], values[order]

    def scan(self, query: Floats, k: int, mask: Mask) -> tuple[Integers, Floats]:
        """Compare with every kept vector inside the mask, some thousand at a time."""
        chosen = np.flatnonzero(mask)
        scores = np.empty(chosen.size, np.float32)
        for start in range(0, chosen.size, SCAN_ROWS):
            piece = chosen[start : start + SCAN_ROWS]
            scores[start : start + SCAN_ROWS] = self.vectors_of(piece) @ query
        rows = best(scores, k)
        return chosen[rows], scores[rows]

    def vectors_of(self, rows: Integers) -> Floats:
        """Return float32 copies of the kept vectors."""
        return np.asarray(self.vectors[rows], np.float32)

    def rows(self) -> Rows:
        """Return the columns."""
        return Rows(self.ids, self.table, self.vectors)


def write_segment(directory: Path, rows: Rows, files: Files) -> Segment:
    """Build the index, write everything into a new directory, synced, and open it."""
    files.directory(directory)
    for name, content in ((IDS, _narrow(rows.ids)), (TABLE, rows.table), (VECTORS, rows.vectors)):
        files.write(directory / name, _npy(content))
    index = choose_index(len(rows.ids), rows.vectors.shape[1])
    for start in range(0, len(rows.ids), SCAN_ROWS):
        index.add(rows.vectors[start : start + SCAN_ROWS].astype(np.float32))
    files.write(directory / INDEX, faiss.serialize_index(index).tobytes())
    files.sync(directory)
    files.sync(directory.parent)
    return open_segment(directory)


def open_segment(directory: Path) -> Segment:
    """Open a segment whose checksums were verified; raises ValueError when its parts disagree."""
    ids, table = np.load(directory / IDS), np.load(directory / TABLE)
    vectors = np.load(directory / VECTORS, mmap_mode="r")
    index = faiss.read_index(str(directory / INDEX))
    if not len(ids) == len(table) == len(vectors) == index.ntotal or index.d != vectors.shape[1]:
        raise ValueError(f"segment {directory.name}: its files describe different rows")
    return Segment(directory.name, ids, table, np.ascontiguousarray(table["offset"]), vectors, index)


def _narrow(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    longest = max((len(product_id) for product_id in ids), default=1)
    return ids.astype(f"S{max(longest, 1)}")


def _npy(content: NDArray[Any]) -> bytes:  # Any: columns have different types
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(content), allow_pickle=False)
    return buffer.getvalue()
