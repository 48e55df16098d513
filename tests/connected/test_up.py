"""`headrace up` as a shell runs it: everything comes up, other commands find it, Ctrl-C stops it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.infrastructure import running
from tests.command_line import TERMINAL

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
COMMAND = [sys.executable, "-m", "services.cli.main"]
READY = "Ctrl-C stops everything"


def environment(directory: Path) -> dict[str, str]:
    """Return this process's environment, without its own installation's settings."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**others, **TERMINAL, "HEADRACE_DATA_DIR": str(directory), "PYTHONUNBUFFERED": "1"}


def headrace(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, env=environment(directory)
    )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Give an installation with one worker, once it is ready."""
    command = [*COMMAND, "up", "--worker", "judgements", "--broker", "embedded", "--redis", "embedded"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(tmp_path)
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if READY in line:
                break
        assert process.poll() is None, "".join(lines)
        yield process
        if process.poll() is None:
            process.kill()


def test_what_is_up_is_found_and_stopped_by_a_signal(up: subprocess.Popen[str], tmp_path: Path) -> None:
    installation = running.read(tmp_path)
    assert installation is not None
    assert (installation.pid, set(installation.ports)) == (up.pid, {"judgements"})
    assert headrace(tmp_path, "topics", "diff").stdout.strip().endswith("0 to change")
    shown = headrace(tmp_path, "config", "show", "judgements", "--changed").stdout
    assert str(installation.ports["judgements"]) in shown
    second = headrace(tmp_path, "up", "--worker", "judgements")
    assert second.returncode == 2
    assert f"(process {up.pid})" in second.stderr
    assert headrace(tmp_path, "demo", "--exit").returncode == 2
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=90) == 0
    assert running.read(tmp_path) is None
