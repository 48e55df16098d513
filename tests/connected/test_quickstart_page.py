"""The first fifteen minutes as the page tells them: typed word for word, and what is printed is compared."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.infrastructure import running
from tests.architecture.pages import ROOT, blocks
from tests.connected.killing import until
from tests.connected.newcomer import Newcomer

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
PAGE = ROOT / "docs" / "quickstart.md"
USUAL = {"search": 8800, "collector": 8880}
"""Ports that the page names."""
VARIES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\([\d.]+ s, [\d,]+/s\)|\s+")
"""Times, and how columns are aligned."""
BROKERS = [
    "embedded",
    pytest.param(
        "kafka-home", marks=pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="no KAFKA_HOME")
    ),
]


def steps() -> list[tuple[str, str]]:
    """Return what is typed and what is then printed, if the page says it."""
    taken: list[tuple[str, str]] = []
    for language, text in blocks(PAGE):
        if language == "sh":
            taken.append((text, ""))
        else:
            taken[-1] = (taken[-1][0], text)
    return taken


def like(printed: str) -> list[str]:
    """Return the lines as they are compared."""
    return [VARIES.sub("#", line.strip()) for line in printed.splitlines()]


def prints(newcomer: Newcomer, typed: str, shown: str) -> Callable[[], bool]:
    return lambda: set(like(shown)) <= set(like(newcomer.types(typed)))


@pytest.mark.parametrize("broker", BROKERS)
def test_one_gets_from_a_file_to_a_click_that_counts(broker: str, tmp_path: Path) -> None:
    data, place = tmp_path / "data", tmp_path / "place"
    place.mkdir()
    newcomer = Newcomer(data, place, {"headrace up": f"headrace up --broker {broker}"})
    (file, _), (up, loaded), *searches = steps()
    newcomer.types(file)
    *_, last = loaded.splitlines()
    with newcomer.leaves_running(up, until=last) as lines:
        assert set(like(loaded)) <= set(like("".join(lines)))
        here = running.read(data)
        assert here is not None
        newcomer.calls({f"127.0.0.1:{port}": f"127.0.0.1:{here.ports[name]}" for name, port in USUAL.items()})
        for typed, shown in searches:
            if shown:
                until(prints(newcomer, typed, shown), why=lambda typed=typed: newcomer.types(typed))
            else:
                newcomer.types(typed)
