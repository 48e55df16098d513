"""What the search engineer's page says to type works as it is written, in its order, on one installation."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.index import IndexRecord
from services.lab.models.shapes import make
from shared.infrastructure.stack import Stack
from shared.kafka.latest import latest
from tests.architecture.pages import ROOT, typed
from tests.connected.installation import ALL, installation
from tests.connected.killing import until, until_ready
from tests.connected.newcomer import Newcomer

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
PAGE = ROOT / "docs" / "search-engineer.md"
SHOES = {"SHOE-1", "SHOE-2", "SOCK-1"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("data"), (*ALL, "rollout")) as stack:
        until_ready(stack)
        yield stack


@pytest.fixture(scope="module")
def newcomer(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    here = {"127.0.0.1:8800": stack.url("search").removeprefix("http://")}
    return Newcomer(stack.settings.data_dir, tmp_path_factory.mktemp("newcomer"), here)


@pytest.fixture(scope="module")
def loaded(newcomer: Newcomer) -> list[str]:
    """Load what the page loads, and return what was printed."""
    printed = [newcomer.types(block) for block in typed(PAGE, "Loading files")]
    until(lambda: ids(newcomer.types("headrace search 'running shoe' --json")) == SHOES)
    return printed


def ids(answer: str) -> set[str]:
    return {hit["product_id"] for hit in json.loads(answer)["hits"]}


def test_files_and_history_are_loaded(newcomer: Newcomer, loaded: list[str]) -> None:
    assert len(loaded) == 2
    assert "3 products would be loaded; nothing was written (--dry-run)" in loaded[0]
    assert "3 products of source shoes are written, as of" in loaded[0]
    assert "4 rows of events are written" in loaded[1]
    newcomer.types("headrace verify judgements")
    assert "SHOE-1" in newcomer.types('headrace judgements show "running shoe"')


def test_an_index_record_is_read(stack: Stack, loaded: list[str]) -> None:
    [program] = typed(PAGE, "Index records")
    [record] = asyncio.run(latest(stack.settings, "index.records.g1", count=1, key=b"SHOE-1"))
    found = {"value": record.value}
    exec(program, found)  # noqa: S102 - the page's own program
    ours = IndexRecord.decode(record.value)
    assert found["record"]["product_id"] == ours.product_id == "SHOE-1"
    assert found["vectors"].shape == (len(ours.passages), ours.dimensions)


def test_a_search_is_filtered(newcomer: Newcomer, loaded: list[str]) -> None:
    [search] = typed(PAGE, "Searching")
    answer = newcomer.types(search)
    assert ids(answer) == {"SHOE-1", "SOCK-1"}, "the other shoe costs more"


def test_a_generation_is_built_promoted_taken_back_and_tried(
    newcomer: Newcomer, loaded: list[str], tmp_path: Path
) -> None:
    newcomer.types(f"headrace models import {make('as most are', tmp_path / 'model')} --id m-1")
    [generations] = typed(PAGE, "Generations")
    printed = newcomer.types(generations)
    assert "m-1" in printed
    [trial] = typed(PAGE, "Trials of a generation")
    assert "2,000" in newcomer.types(trial)
    assert ids(newcomer.types("headrace search 'running shoe' --json")) == SHOES, "the live one answers"


def test_python_writes_searches_and_tells_what_a_shopper_did(newcomer: Newcomer, loaded: list[str]) -> None:
    [program] = typed(PAGE, "From Python")
    assert newcomer.types(program, program=sys.executable).split() == ["LAMP-1", "16"]
