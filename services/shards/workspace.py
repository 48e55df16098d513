"""Where a shard's text index works between checkpoints: on tmpfs when there is room, else on disk.

A Tantivy commit syncs about ten files; on a busy disk that is 100 ms, in memory 10. Nothing here has to
survive: a shard starts from its last checkpoint and the log.
"""

import fcntl
import hashlib
import shutil
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from services.shards.files import Files

TMPFS = Path("/dev/shm")  # noqa: S108 - checked for room; names are ours, content is rebuilt
ROOM = 1 << 30


class Workspace:
    """A new empty directory for one epoch of a shard; it is ours as long as its lock is held.

    What dead owners left is removed; what a living one still uses (it may not know yet that its lease is
    gone) is left to it.
    """

    def __init__(self, root: Path, *, epoch: int, configured: Path | None, files: Files) -> None:
        base = configured or (TMPFS if _has_room(TMPFS) else None)
        name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
        parent = base / f"headrace-{name}" if base else root / "work"
        self._files = files
        files.directory(parent)
        for lock in sorted(parent.glob("*.lock")):
            _remove_if_abandoned(lock, files)
        self.path = parent / f"e{epoch:06d}"
        self.pins = parent / f"e{epoch:06d}-pins"
        self._lock = _locked(self.path.with_suffix(".lock"))
        for left in (self.path, self.pins):
            files.remove(left)
        files.directory(self.path)

    def close(self) -> None:
        """Remove it."""
        for leftover in (self.path, self.pins, self.path.with_suffix(".lock")):
            self._files.remove(leftover)
        if self._lock is not None:
            self._lock.close()
        with suppress(OSError):  # another epoch's is still there
            self.path.parent.rmdir()


def _locked(path: Path) -> TextIOWrapper | None:
    """Hold a lock until the file is closed (or the process dies); None when another holds it."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _remove_if_abandoned(lock: Path, files: Files) -> None:
    held = _locked(lock)
    if held is None:
        return
    for leftover in (lock.with_suffix(""), lock.with_name(f"{lock.stem}-pins"), lock):
        files.remove(leftover)
    held.close()


def _has_room(path: Path) -> bool:
    return path.is_dir() and shutil.disk_usage(path).free >= ROOM
