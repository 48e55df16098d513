"""What README says to type works as it is written, in its order, and prints what it says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready

pytestmark = [
    pytest.mark.connected,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("kcat") is None, reason="needs kcat: apt install kcat"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
README = Path(__file__).parents[2] / "README.md"


def blocks(heading: str) -> list[tuple[str, str]]:
    """Return language and text of each block of a section."""
    section = README.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


PUBLISH, CLICK, PYTHON = [text for _, text in blocks("Talk to it")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("readme")) as stack:
        until_ready(stack)
        yield stack


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> Callable[[str, str], str]:
    """Return a shell as a newcomer has it: the environment is active, and the installation runs here."""
    commands = tmp_path / "bin"
    commands.mkdir()
    headrace = commands / "headrace"
    headrace.write_text(f'#!/bin/sh\nexec {sys.executable} -m services.cli.main "$@"\n')
    headrace.chmod(0o755)
    (commands / "python3").symlink_to(sys.executable)
    addresses = {"127.0.0.1:9092": stack.settings.kafka, "127.0.0.1:8800": stack.url("search")[7:]}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_DATA_DIR": str(stack.settings.data_dir),
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(README.parent),
        "COLUMNS": "80",
    }

    def run(program: str, text: str) -> str:
        for written, here in addresses.items():
            text = text.replace(written, here)
        done = subprocess.run(
            [program, "-c", text], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_what_is_published_is_found_and_a_click_on_it_is_counted(shell: Callable[[str, str], str]) -> None:
    shell("bash", PUBLISH)
    until(lambda: "SHOE-1" in shell("bash", 'headrace search "trail shoe"'))
    shell("bash", CLICK)

    def judged() -> list[str]:
        shown = shell("bash", 'headrace judgements show "trail shoe"')
        return next((line.split() for line in shown.splitlines() if line.startswith("SHOE-1")), [])

    until(lambda: judged()[1:3] == ["1", "1"], why=lambda: str(judged()))


def test_a_price_that_python_writes_is_in_the_answer(shell: Callable[[str, str], str]) -> None:
    shell(sys.executable, PYTHON)
    until(lambda: shell(sys.executable, PYTHON).split()[:3] == ["1", "SHOE-1", "89.5"])
