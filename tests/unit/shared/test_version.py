"""Which code this is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shared.version
from shared.version import code_version

FILE = Path(shared.version.__file__)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a tree of its own with the module in it."""
    (tmp_path / "tree" / "shared").mkdir(parents=True)
    shutil.copy(FILE, tmp_path / "tree" / "shared" / "version.py")
    return tmp_path / "tree"


def git(tree: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=tree, check=True, capture_output=True, text=True
    ).stdout.strip()


def version_in(tree: Path, path: str = os.environ.get("PATH", "")) -> str:
    program = "from shared.version import code_version; print(code_version())"
    return subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tree,
        env={"PATH": path, "PYTHONPATH": str(tree), "GIT_CEILING_DIRECTORIES": str(tree.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_it_is_the_commit_and_a_mark_when_something_was_changed_since(copied: Path):
    git(copied, "init", "--quiet")
    git(copied, "add", ".")
    git(copied, "commit", "--quiet", "--message", "first")
    commit = git(copied, "rev-parse", "HEAD")[:12]
    assert version_in(copied) == commit
    with (copied / "shared" / "version.py").open("a") as file:
        file.write("# changed\n")
    assert version_in(copied) == f"{commit}+"


def test_outside_of_a_repository_it_is_the_installed_version_or_unknown(copied: Path):
    assert version_in(copied) == "unknown"


def test_without_git_too(copied: Path):
    assert version_in(copied, path="/nowhere") == "unknown"


def test_it_is_never_empty():
    assert code_version()
