"""Fixtures of the shard tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the name


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory whose syncs cost nothing, where the machine has one."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-test-", dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder)
