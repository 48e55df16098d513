"""Where a shard's text index works between checkpoints: on tmpfs when there is room, else on disk.

A Tantivy commit syncs about ten files; on a busy disk that is 100 ms, in memory 10. Nothing here has to
survive: a shard starts from its last checkpoint and the log.
"""

import hashlib
import shutil
from pathlib import Path

from services.shards.files import Files

TMPFS = Path("/dev/shm")  # noqa: S108 - checked for room; names are ours, content is rebuilt
ROOM = 1 << 30


def workspace(root: Path, *, epoch: int, configured: Path | None, files: Files) -> Path:
    """Return a new empty place for this epoch of the shard in `root`; those of older epochs are removed."""
    base = configured or (TMPFS if _has_room(TMPFS) else None)
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    parent = base / f"headrace-{name}" if base else root / "work"
    files.directory(parent)
    for old in parent.iterdir():
        if _epoch(old.name) <= epoch:
            files.remove(old)
    return parent / f"e{epoch:06d}"


def _epoch(name: str) -> int:
    digits = name.removeprefix("e").split("-")[0]
    return int(digits) if digits.isdigit() else 0


def _has_room(path: Path) -> bool:
    return path.is_dir() and shutil.disk_usage(path).free >= ROOM
