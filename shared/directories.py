"""Directories and files that appear whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import ConfigurationError, TransientError


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside `target`; at the end it is synced and becomes `target`.

    After an error, or a kill at any moment, there is no `target`; what a killed writer left is removed by
    the next one. Raises `ConfigurationError` when there is a `target`, `TransientError` when another
    process writes it.
    """
    _refuse(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.partial"
    with _alone(partial):
        _empty(partial)
        try:
            yield partial
            _refuse(target)
            _sync(partial)
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    _sync_one(target.parent)


def replace_file(target: Path, content: bytes) -> None:
    """Write a file whole, in the place of the one of that name; it is on disk when this returns."""
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(content)
    _sync_one(partial)
    partial.replace(target)
    _sync_one(target.parent)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait until no other process works in the directory, and keep others waiting until the end."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse(target: Path) -> None:
    if target.exists():
        raise ConfigurationError(f"{target} is there already, and nothing is ever written over")


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Hold the lock of the directory itself; the system gives back what a dead process held."""
    # Not `exist_ok`: it looks again, and raises when the other writer's rename came in between.
    with suppress(FileExistsError):
        partial.mkdir()
    try:
        descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise TransientError(f"another process wrote {partial}") from None
    try:
        if not _locked(descriptor, partial):
            raise TransientError(f"another process writes {partial}")
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, partial: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Between our open and our lock, another writer may have finished: then this is its target.
    try:
        return partial.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(directory: Path) -> None:
    """Wait until everything below the directory is on disk, contents before names."""
    for path, _, files in os.walk(directory, topdown=False):
        for name in files:
            _sync_one(Path(path) / name)
        _sync_one(Path(path))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
