"""The blocks of the page, word for word, by a shell, on a real installation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.installation import installation
from tests.connected.killing import until_ready
from tests.connected.newcomer import ROOT, Newcomer

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
PAGE = ROOT / "docs" / "search-engineer.md"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with installation(tmp_path / "data", ("judgements",)) as stack:
        until_ready(stack)
        yield stack


def blocks() -> list[str]:
    [section] = re.findall(r"^## Loading files\n(.*?)^## ", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_what_the_page_says_of_loading_files_works(stack: Stack, tmp_path: Path) -> None:
    newcomer = Newcomer(stack, tmp_path)
    printed = [newcomer.types(block) for block in blocks()]
    assert len(printed) == 2
    assert "3 products would be loaded; nothing was written (--dry-run)" in printed[0]
    assert "3 products of source shoes are written, as of" in printed[0]
    assert "4 rows of events are written" in printed[1]
    newcomer.types("headrace verify judgements")
    assert "SHOE-1" in newcomer.types('headrace judgements show "running shoe"')
