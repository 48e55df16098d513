"""The command line starts without its engines, and says in one line what is wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.main import COMMANDS

HEAVY = ("torch", "faust", "faiss", "aiokafka", "redis", "sentence_transformers", "tantivy", "pydantic")


def headrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "120", "NO_COLOR": "1"},
    )


def test_help_lists_every_command_with_its_line() -> None:
    shown = headrace("--help").stdout
    for name, entry in COMMANDS.items():
        assert (f" {name} " in shown and entry.help in shown) is not entry.hidden, name


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, services.cli.main as m\n"
        "try: m.app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {module.partition(".")[0] for module in done.stderr.split()} & set(HEAVY)


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    done = headrace("topcs")
    assert done.returncode == 2
    assert "topics" in done.stderr


def test_a_wrong_setting_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "headrace.toml"
    file.write_text("partitions = 0\n")
    done = headrace("--config", str(file), "config", "show")
    assert done.returncode == 2
    assert done.stderr.startswith("headrace: configuration: partitions: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_command_can_be_stopped_where_signals_without_a_handler_are_ignored() -> None:
    command = [sys.executable, "-m", "services.cli.main", "schemas", "validate", "-", "--topic", "alerts.v1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while not handles(process.pid, signal.SIGTERM):
            assert process.poll() is None
            os.sched_yield()
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM


def handles(pid: int, number: int) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_help(name: str) -> None:
    module = COMMANDS[name].target.partition(":")[0].replace(".", "/")
    if not (Path(__file__).parents[3] / f"{module}.py").exists():
        pytest.skip("not written yet")
    assert headrace(name, "--help").returncode == 0
