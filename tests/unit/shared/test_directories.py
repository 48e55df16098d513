"""Directories that appear whole or not at all."""

import fcntl
import os
from pathlib import Path

import pytest

from shared.directories import whole
from shared.errors import ConfigurationError, TransientError


def test_it_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "models" / "m1"
    with whole(target) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "file").write_text("x")
        assert not target.exists()
    assert (target / "sub" / "file").read_text() == "x"
    assert [path.name for path in target.parent.iterdir()] == ["m1"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole(tmp_path / "m1") as partial:
        (partial / "no such directory" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_not_taken_over(tmp_path: Path) -> None:
    left = tmp_path / ".m1.partial"
    (left / "sub").mkdir(parents=True)
    (left / "old").write_text("x")
    with whole(tmp_path / "m1") as partial:
        (partial / "new").write_text("x")
    assert [path.name for path in (tmp_path / "m1").iterdir()] == ["new"]


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "m1").mkdir()
    with pytest.raises(ConfigurationError, match="already"), whole(tmp_path / "m1"):
        pass


def test_two_do_not_write_the_same(tmp_path: Path) -> None:
    left = tmp_path / ".m1.partial"
    left.mkdir()
    descriptor = os.open(left, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(TransientError, match="another process"), whole(tmp_path / "m1"):
            pass
    finally:
        os.close(descriptor)
    with whole(tmp_path / "m1"):
        pass
