"""`headrace up --load FILE`: one's own products with one command, and not again with the next start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import TERMINAL

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
COMMAND = [sys.executable, "-m", "services.cli.main", "up", "--load"]
SERVERS = ["--worker", "judgements", "--broker", "embedded", "--redis", "embedded"]


def environment(directory: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**others, **TERMINAL, "HEADRACE_DATA_DIR": str(directory), "PYTHONUNBUFFERED": "1"}


def lines_of(file: Path, directory: Path, until: str) -> str:
    """Return what a start prints up to some words, and stop it again."""
    printed = []
    with subprocess.Popen(
        [*COMMAND, str(file), *SERVERS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(directory),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if until in line:
                process.send_signal(signal.SIGINT)
                break
        assert process.wait(timeout=90) == 0, "".join(printed)
    return "".join(printed)


def test_own_products_are_loaded_once(tmp_path: Path) -> None:
    file = tmp_path / "shoes.csv"
    file.write_text("sku,name,price\nA,Trail boot,12.50\nB,Road boot,13\nC,,x\n")
    first = lines_of(file, tmp_path / "data", "3 products of source shoes are written, as of")
    assert "headrace search 'Trail boot'" in first
    assert "line 4, price: 'x' x is no number" in first
    assert "source shoes is loaded already, as of" in lines_of(file, tmp_path / "data", "is loaded already")


def test_a_file_that_cannot_be_loaded_is_told_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, str(tmp_path / "none.csv"), *SERVERS],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path / "data"),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be opened: No such file or directory" in done.stderr
