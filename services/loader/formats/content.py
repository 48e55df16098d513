"""The bytes of a file or of standard input: unpacked by what they are, with their head to look at.

Raises `DamagedFileError` where the bytes end too early or are not what they began as.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from backports import zstd

from services.loader.domain.rows import visible
from shared.errors import AbsentError, ConfigurationError, FatalError

STDIN = "-"
HEAD = 256 * 1024
BUFFER = 1024 * 1024
GZIP, ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"


class DamagedFileError(FatalError):
    """A file cannot be read on: what came before is right, what comes after is not known."""


class FileContent:
    """What one input holds, unpacked; `head` are its first bytes, which `stream` gives once more."""

    def __init__(self, name: str, raw: BinaryIO, path: Path | None = None) -> None:
        self.name = visible(name, 200)
        self.path = path
        """Where it lies on the disk; None: it does not."""
        self._size = path.stat().st_size if path is not None else 0
        self._share: float | None = None
        self.damage = ""
        """Why it could not be read to its end."""
        self._raw = raw
        start = raw.read(len(ZSTD))
        packed = cast("BinaryIO", io.BufferedReader(_Prefixed(start, raw), BUFFER))
        self.packed = start.startswith((GZIP, ZSTD))
        unpacked = _unpacked(start, packed)
        with self.reading():
            self.head = _read(unpacked, HEAD)
        if self.head.startswith(ZIP):
            raise ConfigurationError(
                f"{self.name} is a zip archive or an Excel workbook: unpack it, or save it as CSV UTF-8"
            )
        self.stream = io.BufferedReader(_Prefixed(self.head, unpacked), BUFFER)

    @property
    def whole(self) -> bool:
        """Whether the head is all there is."""
        return len(self.head) < HEAD

    @property
    def share(self) -> float | None:
        """How much of it was read, about; None: nobody knows how long it is."""
        if self._share is not None:
            return self._share
        return min(1.0, self._raw.tell() / self._size) if self._size else None

    @share.setter
    def share(self, share: float) -> None:
        """Say it, where it is not read from its beginning to its end."""
        self._share = share

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raise what unpacking raises as `DamagedFileError`."""
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError, OSError) as error:
            raise DamagedFileError(f"{self.name} cannot be read on: {visible(str(error), 200)}") from error


@contextmanager
def opened(name: str) -> Iterator[FileContent]:
    """Open a file, or standard input (`-`); raises `AbsentError` when there is none."""
    if name == STDIN:
        yield FileContent("standard input", cast("BinaryIO", sys.stdin.buffer))
        return
    path = Path(name)
    try:
        raw = path.open("rb", buffering=BUFFER)
    except OSError as error:
        raise AbsentError(f"{visible(name, 200)} cannot be opened: {error.strerror}") from error
    with raw:
        yield FileContent(path.name, raw, path if path.is_file() else None)


def _unpacked(start: bytes, packed: BinaryIO) -> BinaryIO:
    if start.startswith(GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=packed))
    return cast("BinaryIO", zstd.ZstdFile(packed)) if start == ZSTD else packed


def _read(stream: BinaryIO, size: int) -> bytes:
    """Return so many bytes, fewer at the end only: a pipe gives what it has."""
    parts, left = [], size
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class _Prefixed(io.RawIOBase):
    """A stream with bytes before it that were read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than typeshed's
        if not self._head:
            read = self._rest.read1 if hasattr(self._rest, "read1") else self._rest.read
            piece = read(len(buffer))
        else:
            piece, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)
