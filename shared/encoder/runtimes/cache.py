"""What was made of models, kept by key in a directory that all workers of a machine share.

An entry is there whole, with the checksums of its files, or not at all; one that is damaged is made again.
Everything in it can be made again, so anybody may delete it at any time.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.directories import alone, replace_file, whole
from shared.encoder.directory import sha256_of
from shared.encoder.runtimes.port import UnsupportedModelError

MOST_BYTES = 8 << 30
MOST_NOTES = 512
CHECKSUMS = "checksums.json"


class ConversionCache:
    """Entries and notes. Every method may raise `OSError`: a disk that is full, or not ours to write."""

    def __init__(self, root: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._root = root
        self._most_bytes = most_bytes

    def get(self, key: str, make: Callable[[Path], None]) -> Path:
        """Return the directory that `make` fills; of several processes one makes it, the others wait.

        When it raises `UnsupportedModelError`, so does every later call with that key, without trying again.
        """
        entry = self._root / key
        if self._root.is_dir():
            self._prepare()
        if _is_whole(entry):
            return entry
        self._prepare()
        with alone(self._root):
            if not _is_whole(entry):
                shutil.rmtree(entry, ignore_errors=True)
                self._make(entry, make)
                self._shrink(entry)
        return entry

    def find(self, key: str) -> Path | None:
        """Return the directory of an entry that is there, None when there is none."""
        entry = self._root / key
        if self._root.is_dir():
            self._prepare()
        return entry if _is_whole(entry) else None

    def recall(self, name: str) -> Any:  # Any: JSON that was remembered
        """Return what was remembered under a name, None when nothing was."""
        try:
            return json.loads((self._root / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def remember(self, name: str, value: object) -> None:
        """Remember a value that JSON can hold."""
        self._prepare()
        with alone(self._root):
            replace_file(self._root / f"{name}.json", json.dumps(value).encode())

    def _prepare(self) -> None:
        """Make the directory; raises `PermissionError` when others could put models into it."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._root.stat()
        if status.st_uid not in (os.getuid(), 0) or status.st_mode & stat.S_IWOTH:
            raise PermissionError(f"{self._root}: others may write into it")

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        refused = self._root / f"{entry.name}.refused.json"
        if refused.exists():
            raise UnsupportedModelError(json.loads(refused.read_bytes()))
        try:
            with whole(entry) as partial:
                make(partial)
                checksums = {file.name: sha256_of(file) for file in partial.iterdir()}
                (partial / CHECKSUMS).write_text(json.dumps(checksums), "utf-8")
        except UnsupportedModelError as error:
            replace_file(refused, json.dumps(str(error)).encode())
            raise

    def _shrink(self, newest: Path) -> None:
        """Remove what was not used for longest, and what killed writers left. The lock is held."""
        entries = [path for path in self._root.iterdir() if path.is_dir() and path != newest]
        for partial in [path for path in entries if path.name.endswith(".partial")]:
            shutil.rmtree(partial, ignore_errors=True)
            entries.remove(partial)
        kept = _bytes(newest)
        for entry in sorted(entries, key=lambda path: -path.stat().st_mtime):
            kept += _bytes(entry)
            if kept > self._most_bytes:
                shutil.rmtree(entry, ignore_errors=True)
        notes = sorted(self._root.glob("*.json"), key=lambda path: -path.stat().st_mtime)
        for note in notes[MOST_NOTES:]:
            note.unlink(missing_ok=True)


def _is_whole(entry: Path) -> bool:
    """Whether the entry is there with the files that it was made with; it counts as used."""
    try:
        checksums = json.loads((entry / CHECKSUMS).read_bytes())
        if any(sha256_of(entry / name) != checksum for name, checksum in checksums.items()):
            return False
    except (OSError, ValueError, AttributeError):
        return False
    with suppress(OSError):
        os.utime(entry)
    return True


def _bytes(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.iterdir())
