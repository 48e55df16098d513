"""A disk that is full or read-only: a pause, since room can be made and nothing that was asked is wrong."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import TransientError, Trouble

FULL = Trouble("disk.full", "No space left on device", "make room on it")
READ_ONLY = Trouble("disk.read-only", "Read-only file system", "mount it for writing")
FORBIDDEN = Trouble("disk.forbidden", "Permission denied", "give this process the right to write there")
BROKEN = Trouble("disk.broken", "Input/output error", "look at the kernel's log; replace the disk")
FILES = Trouble("disk.files", "Too many open files", "raise the limit of open files (ulimit -n)")
TROUBLE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.EIO: BROKEN,
    errno.EMFILE: FILES,
    errno.ENFILE: FILES,
}
WORDS = {
    "StorageFull": FULL,
    "ReadOnlyFilesystem": READ_ONLY,
    "PermissionDenied": FORBIDDEN,
    "No space left on device": FULL,
    "Read-only file system": READ_ONLY,
    "Input/output error": BROKEN,
}
"""As libraries say it that hide the number: Tantivy, in Rust's words."""
NUMBER = re.compile(r"(?:os error |code: )(\d+)")


def pause_of(error: Exception, place: Path) -> TransientError | None:
    """Return the pause that an error of writing at `place` means; None: the disk is not what is wrong."""
    trouble = _trouble(error)
    if trouble is None:
        return None
    where = getattr(error, "filename", None) or place
    return trouble.pause(f"{trouble.what}: {where}")


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what a disk refuses while something is written at `place` into `TransientError`."""
    try:
        yield
    except OSError as error:
        if (pause := pause_of(error, place)) is None:
            raise
        raise pause from error


def _trouble(error: Exception) -> Trouble | None:
    if isinstance(error, OSError) and error.errno in TROUBLE:
        return TROUBLE[error.errno]
    said = str(error)
    numbers = (TROUBLE[int(number)] for number in NUMBER.findall(said) if int(number) in TROUBLE)
    return next(numbers, None) or next((WORDS[words] for words in WORDS if words in said), None)
