"""The blocks of the page, word for word, by a shell, on a real installation."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.infrastructure.stack import Stack
from tests.command_line import TERMINAL
from tests.connected.installation import installation
from tests.connected.killing import until_ready

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
PAGE = Path(__file__).parents[3] / "docs" / "search-engineer.md"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with installation(tmp_path / "data", ("judgements",)) as stack:
        until_ready(stack)
        yield stack


def blocks() -> list[str]:
    [section] = re.findall(r"^## Loading files\n(.*?)^## ", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_what_the_page_says_of_loading_files_works(stack: Stack, tmp_path: Path) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "headrace"
    command.write_text(f'#!{shell}\nexec {sys.executable} -m services.cli.main "$@"\n')
    command.chmod(0o755)
    others = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment = {
        **others,
        **TERMINAL,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]),
        "HEADRACE_DATA_DIR": str(stack.settings.data_dir),
    }
    printed = []
    for block in blocks():
        done = subprocess.run(
            [shell, "-e"],
            input=block,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        printed.append(done.stdout)
    assert len(printed) == 2
    assert "3 products would be loaded; nothing was written (--dry-run)" in printed[0]
    assert "3 products of source shoes are written, as of" in printed[0]
    assert "4 rows of events are written" in printed[1]
    verified = subprocess.run(
        [command, "verify", "judgements"], env=environment, capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout
    shown = subprocess.run(
        [command, "judgements", "show", "running shoe"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "SHOE-1" in shown.stdout
