"""Durable file operations of a shard: written, synced, then named; every step can be the last one."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.shards.domain.manifest import StoredFile
from shared.errors import TransientError


class Files:
    """The real disk. Tests inherit it to stop at any step, as a power cut would."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file and sync it."""
        self.write_pieces(path, [data])

    def write_pieces(self, path: Path, pieces: Iterable[bytes | memoryview]) -> None:
        """Do that piece by piece: a large file is nowhere whole in memory."""
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def sync(self, path: Path) -> None:
        """Wait until a file's content, or a directory's names, are on disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give a written file its final name, atomically, and sync the directory."""
        source.replace(target)
        self.sync(target.parent)

    def directory(self, path: Path) -> Path:
        """Make a directory (and its parents); one that is there is fine."""
        path.mkdir(parents=True, exist_ok=True)
        return path

    def remove(self, path: Path) -> None:
        """Remove a file or a whole directory; one that is gone is fine."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def described(root: Path, path: Path) -> StoredFile:
    """Return the file's path below `root`, size and SHA-256, read from the disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredFile(path=path.relative_to(root).as_posix(), size=path.stat().st_size, sha256=digest)


def fault(root: Path, file: StoredFile) -> str | None:
    """Return what is wrong with a stored file; None when it is exactly what was written."""
    path = root / file.path
    if ".." in Path(file.path).parts or not path.is_file():
        return f"{file.path} is missing"
    if described(root, path) != file:
        return f"{file.path} is not what was written (size or SHA-256 differs)"
    return None


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; raises `TransientError` at once when another process holds it.

    It guards the short steps that read and write the list of manifests; a dead process holds nothing.
    """
    with (directory / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TransientError(f"{directory} is in use by another process") from error
        yield
