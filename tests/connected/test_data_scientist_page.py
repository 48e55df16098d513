"""What the data scientist's page says to type works as it is written, in its order (`make pages`)."""

import json
import sys
from collections.abc import Iterator

import pytest

from services.lab.models.shapes import make
from services.lab.simulation import shop
from services.lab.simulation.catalogue import save
from shared.encoder.directory import packaged_directory
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import CORE, LEARNING
from tests.architecture.pages import ROOT, typed
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.newcomer import Newcomer

pytestmark = [pytest.mark.pages, pytest.mark.timeout(1800)]
PAGE = ROOT / "docs" / "data-scientist.md"
PRODUCTS, QUERIES, SESSIONS = 400, 40, 3000
HUB = "intfloat/multilingual-e5-small"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("data"), (*CORE, *LEARNING)) as stack:
        until_ready(stack)
        yield stack


@pytest.fixture(scope="module")
def newcomer(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """Return a data scientist of a shop with products, grades and shoppers."""
    place = tmp_path_factory.mktemp("newcomer")
    graded = place / "graded"
    save(shop.sample(size=PRODUCTS, queries=QUERIES), graded)
    newcomer = Newcomer(stack.settings.data_dir, place, {"--data DIR": f"--data {graded}"})
    newcomer.types(f"headrace load {graded}/docs.jsonl.gz")
    until(lambda: documents(newcomer) == PRODUCTS)
    newcomer.types(f"headrace simulate --data {graded} --sessions {SESSIONS}")
    newcomer.types("headrace verify judgements")
    newcomer.types(f"headrace models import {make('as most are', place / 'tiny')} --id m-1")
    newcomer.has("hf", f'test "$1 $2 $3" = "download {HUB} --local-dir"; cp -r {packaged_directory()} "$4"')
    (place / "models").mkdir()
    return newcomer


def documents(newcomer: Newcomer) -> int:
    return int(json.loads(newcomer.types("headrace fields --json"))["documents"])


def test_judgements_become_a_model_that_is_served(newcomer: Newcomer) -> None:
    [loop] = typed(PAGE, "")
    newcomer.types(loop)
    assert json.loads(newcomer.types("headrace rollout status --json"))["live"] == "g2"


def test_judgements_are_read_from_python(newcomer: Newcomer) -> None:
    [program] = typed(PAGE, "Judgements")
    assert newcomer.types(program, program=sys.executable) == "True\n"


def test_a_model_from_elsewhere_is_checked_imported_and_built_also_in_int8(newcomer: Newcomer) -> None:
    for heading in ("Models from elsewhere", "int8"):
        [block] = typed(PAGE, heading)
        newcomer.types(block)
    generations = json.loads(newcomer.types("headrace rollout status --json"))["generations"]
    assert {row["generation"]: row["model_id"] for row in generations}.items() >= {
        ("g3", "e5"),
        ("g4", "e5-int8"),
    }
