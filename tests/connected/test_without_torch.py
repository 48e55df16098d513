"""Where torch cannot be imported, everything but training works: up, load, embedding and search."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.infrastructure import running
from tests.command_line import TERMINAL
from tests.connected.killing import until
from tests.without_torch import environment

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
COMMAND = [sys.executable, "-m", "services.cli.main"]
SHOES = "sku,name,price\nA,Waterproof trail boot,12.50\nB,Silk evening dress,13\n"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    blocked = environment(tmp_path / "blocked")
    others = {name: value for name, value in blocked.items() if not name.startswith("HEADRACE_")}
    root = str(Path(__file__).parents[2])
    return {
        **others,
        **TERMINAL,
        "PYTHONPATH": os.pathsep.join([others["PYTHONPATH"], root]),
        "PYTHONUNBUFFERED": "1",
        "HEADRACE_DATA_DIR": str(tmp_path / "data"),
        "HEADRACE_MODEL__CACHE": str(tmp_path / "cache"),
    }


@pytest.fixture
def printed(shell: dict[str, str], tmp_path: Path) -> Iterator[list[str]]:
    """Give what `headrace up --load` printed, once its products are written."""
    (tmp_path / "shoes.csv").write_text(SHOES)
    command = [*COMMAND, "up", "--load", str(tmp_path / "shoes.csv")]
    servers = ["--broker", "embedded", "--redis", "embedded"]
    with subprocess.Popen(
        [*command, *servers], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=shell
    ) as process:
        try:
            yield list(lines_until(process, "products of source shoes are written"))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=90)
    assert process.returncode == 0


def lines_until(process: subprocess.Popen[str], words: str) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if words in line:
            return
        assert "worker.died" not in line, line


def headrace(shell: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, env=shell)


def test_own_products_are_embedded_and_found_by_what_they_mean(
    printed: list[str], shell: dict[str, str], tmp_path: Path
) -> None:
    def hits() -> list[str]:
        done = headrace(shell, "search", "hiking shoes for rain", "--mode", "dense", "--json")
        assert done.returncode == 0, done.stderr
        return [hit["product_id"] for hit in json.loads(done.stdout)["hits"]]

    until(lambda: hits() == ["A", "B"], why=lambda: str(hits()))
    installation = running.read(tmp_path / "data")
    assert installation is not None
    assert "embedder" in installation.ports
    assert "trainer" not in installation.ports
    assert "it needs the package torch: make install" in "".join(printed)
    train = headrace(shell, "train")
    assert train.returncode == 1
    assert train.stderr.strip().endswith("here it needs the package torch: make install")


@pytest.mark.parametrize(
    "arguments",
    [("demo", "--learn"), ("up", "--worker", "trainer"), ("models", "convert"), ("models", "check")],
    ids=" ".join,
)
def test_what_needs_torch_says_so_before_anything_starts(
    arguments: tuple[str, ...], shell: dict[str, str], tmp_path: Path
) -> None:
    done = headrace(shell, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().endswith("needs the package torch: make install")
    assert not (tmp_path / "data").exists()
