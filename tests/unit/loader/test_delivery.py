"""Units to the bus: whenever it stops, what is not acknowledged is written by the next run."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loader.delivery import AT_ONCE, Delivery, LoadTally, Made
from services.loader.domain.rows import NOT_FOR_SALE, LineFault
from services.loader.request import LoadRequest
from services.loader.resume import LoadCheckpoint, LoadState, StateFile, state_of
from shared.errors import ConfigurationError, TransientError
from shared.records import Outgoing
from shared.testing.publisher import MemoryPublisher


class Watching:
    """Remembers what it is told."""

    def __init__(self):
        self.told: list[LineFault] = []
        self.tallies: list[LoadTally] = []
        self.reasons: list[str] = []

    def faults(self, faults):
        self.told += faults

    def advanced(self, tally):
        self.tallies.append(replace(tally))

    def waiting(self, reason):
        self.reasons.append(reason)


class FailingPublisher(MemoryPublisher):
    """Takes so many portions, and then none."""

    def __init__(self, portions: int) -> None:
        super().__init__()
        self._left = portions

    async def publish(self, messages):
        if not self._left:
            raise TransientError("the broker is away")
        self._left -= 1
        await super().publish(messages)


def unit(number):
    return Made(number, (Outgoing("t", b"%d" % number, b"%d" % number),))


def run(publisher, units, kept):
    watching = Watching()
    at = LoadCheckpoint(kept, kept.load() or LoadState(load_id="l", began_at=0))
    delivery = Delivery(publisher, watching, wait=timedelta(milliseconds=50))
    return asyncio.run(delivery.deliver(iter(units), 0, at)), watching


@given(number=st.integers(0, 5 * AT_ONCE), portions=st.integers(0, 6))
def test_two_runs_write_every_unit_and_the_second_only_what_was_not_kept(tmp_path_factory, number, portions):
    kept = StateFile(tmp_path_factory.mktemp("kept") / "state.json")
    units = [unit(n) for n in range(number)]
    first, second = FailingPublisher(portions), MemoryPublisher()
    if -(-number // AT_ONCE) > portions:
        with pytest.raises(TransientError, match="the broker is away; nothing was acknowledged"):
            run(first, units, kept)
    else:
        tally, _ = run(first, units, kept)
        assert tally.loaded == tally.published == number
    state = kept.load()
    tally, _ = run(second, units, kept)
    assert [message.key for message in second.messages] == [b"%d" % n for n in range(state.done, number)]
    assert state.done <= len(first.messages)
    assert (tally.units, tally.published) == (number, number - state.done)


def test_what_became_of_units_is_counted_and_told_once(tmp_path):
    units = [
        Made(2, (), (LineFault(2, "number.invalid", "fix", lost=False),)),
        Made.of(LineFault(3, "json.invalid", "fix")),
        Made.of(LineFault(4, NOT_FOR_SALE, "draft", lost=False)),
        Made(5, (), (LineFault(5, "id.missing", "fix"),)),
        Made(6, passed=True),
        Made(7, rows=4),
    ]
    tally, watching = run(MemoryPublisher(), units, StateFile(None))
    assert (tally.units, tally.loaded, tally.lost, tally.flawed, tally.passed) == (6, 5, 2, 1, 2)
    assert [fault.line for fault in watching.told] == [2, 3, 4, 5]


def test_portions_are_bounded_by_bytes_too():
    large = [Made(n, (Outgoing("t", b"k", b"x" * 1024 * 1024),)) for n in range(10)]
    _, watching = run(MemoryPublisher(), large, StateFile(None))
    done = [0, *(tally.units for tally in watching.tallies)]
    assert max(after - before for before, after in pairwise(done)) <= 3
    assert done[-1] == 10


def request(file: Path, **options):
    return LoadRequest(files=(str(file),), source="s", **options)


def test_a_load_is_known_by_its_files_what_is_said_of_them_and_where_they_go(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")

    def place(log="kafka", **options):
        with state_of(request(file, **options), tmp_path, log=log) as kept:
            return kept.path

    same = place()
    assert place() == same == place(restart=True) == place(yes=True)
    assert len({same, place(log="another"), place(replace=True)}) == 3
    file.write_text("id\n2\n")
    assert place() != same


def test_two_processes_do_not_load_the_same_files_at_once(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    with (
        state_of(request(file), tmp_path, log=""),
        pytest.raises(ConfigurationError, match="by another process"),
        state_of(request(file), tmp_path, log=""),
    ):
        pass


def test_a_place_that_cannot_be_written_is_told_with_the_way_out(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    (tmp_path / "taken").write_text("a file")
    words = "cannot be kept in .*taken/loads: .*; HEADRACE_DATA_DIR names another place"
    with pytest.raises(ConfigurationError, match=words), state_of(request(file), tmp_path / "taken", log=""):
        pass


def test_a_state_that_cannot_be_read_is_none(tmp_path):
    kept = StateFile(tmp_path / "state.json")
    assert kept.load() is None
    (tmp_path / "state.json").write_text("{")
    assert kept.load() is None
    assert StateFile(None).load() is None
