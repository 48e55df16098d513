"""Whole or not at all, whatever moment a writer is killed at: in a process that is ended at each step."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.directories import alone, replace_file, whole
from shared.errors import ConfigurationError, TransientError

ROOT = Path(__file__).parents[3]
WRITER = """
import os, signal, sys
from pathlib import Path
from shared import directories

STEPS = int(sys.argv[1])
done = 0

def counted(function):
    # A kill at the beginning of every call to the system that the writer makes.
    def call(*arguments, **named):
        global done
        if done == STEPS:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return function(*arguments, **named)
    return call

for module, name in [(os, "fsync"), (os, "open"), (Path, "rename"), (Path, "replace"), (Path, "mkdir")]:
    setattr(module, name, counted(getattr(module, name)))

target = Path(sys.argv[2])
if sys.argv[3] == "directory":
    with directories.whole(target) as partial:
        (partial / "sub").mkdir()
        for number in range(2):
            (partial / "sub" / f"file-{number}").write_text("new" * 100)
else:
    directories.replace_file(target, b"new" * 100)
"""


def killed_at(step: int, target: Path, what: str) -> int:
    """Write in a process that is killed at its `step`th call; return how it ended."""
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(step), str(target), what], cwd=ROOT, check=False
    ).returncode


def whole_content(target: Path) -> dict[str, str]:
    return {str(file.relative_to(target)): file.read_text() for file in target.rglob("*") if file.is_file()}


NEW = {f"sub/file-{number}": "new" * 100 for number in range(2)}


def test_a_directory_is_there_whole_or_not_at_all_after_a_kill_at_any_step(tmp_path: Path):
    step, ended = 0, -signal.SIGKILL
    seen = set()
    while ended == -signal.SIGKILL:
        target = tmp_path / str(step) / "m1"
        ended = killed_at(step, target, "directory")
        there = target.exists()
        assert not there or whole_content(target) == NEW
        seen.add(there)
        if not there:
            with whole(target) as partial:  # what the dead writer left is in nobody's way
                (partial / "again").write_text("x")
            assert whole_content(target) == {"again": "x"}
            assert [path.name for path in target.parent.iterdir()] == ["m1"]
        step += 1
    assert (ended, seen) == (0, {True, False})
    assert step > 8


def test_a_file_is_the_old_one_or_the_new_one_after_a_kill_at_any_step(tmp_path: Path):
    step, ended = 0, -signal.SIGKILL
    seen = set()
    while ended == -signal.SIGKILL:
        target = tmp_path / f"{step}.json"
        target.write_text("old")
        ended = killed_at(step, target, "file")
        seen.add(target.read_text())
        replace_file(target, b"after")
        assert target.read_text() == "after"
        step += 1
    assert (ended, seen) == (0, {"old", "new" * 100})


@hypothesis_settings(max_examples=25)
@given(contents=st.lists(st.binary(max_size=64), min_size=1, max_size=5))
def test_a_file_holds_what_was_written_last(contents: list[bytes], tmp_path_factory: pytest.TempPathFactory):
    target = tmp_path_factory.mktemp("files") / "state"
    for content in contents:
        replace_file(target, content)
        assert target.read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == ["state"]


def test_a_directory_that_came_meanwhile_is_not_written_over(tmp_path: Path):
    target = tmp_path / "m1"

    def write() -> None:
        with whole(target) as partial:
            (partial / "mine").write_text("x")
            target.mkdir()
            (target / "theirs").write_text("y")

    with pytest.raises(ConfigurationError, match="already"):
        write()
    assert whole_content(target) == {"theirs": "y"}
    assert [path.name for path in tmp_path.iterdir()] == ["m1"]


def test_links_in_what_a_dead_writer_left_are_removed_and_not_followed(tmp_path: Path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    left = tmp_path / ".m1.partial"
    left.mkdir()
    (left / "link").symlink_to(kept)
    with whole(tmp_path / "m1"):
        pass
    assert (kept / "file").read_text() == "x"
    assert list((tmp_path / "m1").iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_nor_does_an_interruption_leave_anything(tmp_path: Path, interruption: type[BaseException]):
    def write() -> None:
        with whole(tmp_path / "m1") as partial:
            (partial / "file").write_text("x")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("again", range(50))
def test_of_writers_at_once_one_writes_and_the_others_are_told(again: int, tmp_path: Path):
    outcomes: list[str] = []
    together = threading.Barrier(8)

    def write(number: int) -> None:
        together.wait()
        try:
            with whole(tmp_path / "m1") as partial:
                (partial / "writer").write_text(str(number))
            outcomes.append("wrote")
        except (TransientError, ConfigurationError) as error:
            outcomes.append(type(error).__name__)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert outcomes.count("wrote") == 1
    assert len(outcomes) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["m1"]


def test_work_in_a_directory_is_done_by_one_at_a_time(tmp_path: Path):
    inside, most = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        for _ in range(20):
            with alone(tmp_path):
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                os.sched_yield()
                with lock:
                    inside[0] -= 1

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == [1]


def test_an_error_lets_the_next_one_in(tmp_path: Path):
    with pytest.raises(ValueError, match="mine"), alone(tmp_path):
        raise ValueError("mine")
    with alone(tmp_path):
        pass
