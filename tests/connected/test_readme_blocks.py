"""What README says to type works as it is written, in its order, and prints what it says."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.infrastructure.stack import Stack
from tests.architecture.pages import ROOT, typed
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.newcomer import Newcomer

pytestmark = [
    pytest.mark.connected,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("kcat") is None, reason="needs kcat: apt install kcat"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
README = ROOT / "README.md"
_, ASK, _ = typed(README, "Five minutes")
"""The first makes the environment and plays the demo, the last one needs Docker: `make pages`."""
PUBLISH, CLICK, PYTHON = typed(README, "Talk to it")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("readme")) as stack:
        until_ready(stack)
        yield stack


@pytest.fixture
def newcomer(stack: Stack, tmp_path: Path) -> Newcomer:
    here = {"127.0.0.1:9092": stack.settings.kafka, "127.0.0.1:8800": stack.url("search")[7:]}
    return Newcomer(stack.settings.data_dir, tmp_path, here)


def test_what_is_published_is_found_and_a_click_on_it_is_counted(newcomer: Newcomer) -> None:
    newcomer.types(PUBLISH)
    until(lambda: "SHOE-1" in newcomer.types('headrace search "trail shoe"'))
    newcomer.types(CLICK)

    def judged() -> list[str]:
        shown = newcomer.types('headrace judgements show "trail shoe"')
        return next((line.split() for line in shown.splitlines() if line.startswith("SHOE-1")), [])

    until(lambda: judged()[1:3] == ["1", "1"], why=lambda: str(judged()))


def test_a_price_that_python_writes_is_in_the_answer(newcomer: Newcomer) -> None:
    assert newcomer.types(PYTHON, program=sys.executable).split()[:3] == ["1", "SHOE-1", "89.5"]


def test_what_to_ask_beside_the_demo_is_answered(newcomer: Newcomer) -> None:
    newcomer.types(PUBLISH)
    printed = newcomer.types(ASK)
    assert "SHOE-1" in printed
    assert "no difference" in printed
