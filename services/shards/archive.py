"""Arrays in one file, as they lie in memory: a line of JSON that says what lies where, then the arrays.

They are mapped and not read, so that opening costs nothing and what nobody asks for takes no memory.
"""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import orjson
from numpy.typing import NDArray

MAGIC = b"headrace arrays 1\n"
ALIGNED = 64
"""Every array begins at a multiple of so many bytes, as loops over it like best."""

Arrays = Mapping[str, NDArray[Any]]  # Any: of each its own


class Archive(NamedTuple):
    """What lies in a file: arrays by name, and notes beside them."""

    arrays: Arrays
    notes: Mapping[str, Any]  # Any: JSON


def packed(arrays: Arrays, notes: Mapping[str, Any]) -> Iterator[bytes | memoryview]:  # Any: JSON
    """Yield the bytes of the file, piece by piece; the arrays are not copied."""
    flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    places, at = dict[str, tuple[str, list[int], int]](), 0
    for name, array in flat.items():
        places[name] = (array.dtype.str, list(array.shape), at)
        at += _aligned(array.nbytes)
    header = orjson.dumps({"arrays": places, "notes": notes}) + b"\n"
    begin = MAGIC + b"%012d\n" % len(header) + header
    yield begin.ljust(_aligned(len(begin)), b"\0")
    for array in flat.values():
        yield array.reshape(-1).view(np.uint8).data
        yield bytes(_aligned(array.nbytes) - array.nbytes)


def mapped(path: Path) -> Archive:
    """Map a file whose checksum was verified; raises ValueError when it is none of ours."""
    with path.open("rb") as file:
        size = path.stat().st_size
        content = (
            memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if size else memoryview(b"")
        )
    if bytes(content[: len(MAGIC)]) != MAGIC:
        raise ValueError(f"{path.name} holds no arrays")
    begin = len(MAGIC) + 13
    length = int(bytes(content[len(MAGIC) : begin]))
    header = orjson.loads(content[begin : begin + length])
    data = content[_aligned(begin + length) :]
    arrays = {}
    for name, (kind, shape, at) in header["arrays"].items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(data, np.dtype(kind), count, at).reshape(shape)
    return Archive(arrays, header["notes"])


class Blobs(Sequence[bytes]):
    """Byte strings one after the other; the i-th ends at `ends[i]`."""

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self._data: memoryview = data.data
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        start = self.ends[place - 1] if place else 0
        return bytes(self._data[start : self.ends[place]])

    @property
    def nbytes(self) -> int:
        """How long they are together."""
        return self._data.nbytes


def joined(blobs: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return byte strings as `Blobs` takes them."""
    ends = np.cumsum(np.fromiter(map(len, blobs), np.int64, len(blobs)))
    return np.frombuffer(b"".join(blobs), np.uint8), ends


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
