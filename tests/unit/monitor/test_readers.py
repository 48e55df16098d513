"""Whether the hot topics are read, and the grace of what is still starting."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.domain.grace import Grace
from services.monitor.domain.movement import movements
from services.monitor.domain.observation import Observation
from services.monitor.domain.readers import Work, numbers, positions, standstill, works

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
[EMBEDDING] = works(["embedder"], ["g1"])


@dataclass(frozen=True)
class Reader:
    partition: int
    topic: str = "catalogue.changes.v1"
    partitions: int = 4
    next_offset: int | None = 100
    end_offset: int = 100


def look(readers: list[Reader], *, since: datetime = NOW - MINUTE, work: Work = EMBEDDING) -> Observation:
    moved = movements({}, positions(readers), since)
    return standstill(work, readers, moved, partitions=4, before=NOW - MINUTE)


ALL = [Reader(number) for number in range(4)]


def test_a_dead_embedder_is_called_by_what_it_means():
    seen = look([])
    assert seen.key == "standstill:embedder-g1"
    assert seen.summary == "catalogue changes are not being embedded: no embedder owns partitions 0-3"
    assert (seen.breached, seen.severity) == (True, "critical")
    assert "start the embedder worker" in seen.action
    healthy = look(ALL)
    assert not healthy.breached
    assert healthy.summary == "catalogue changes are being embedded, 0 to go"


def test_a_reader_that_is_behind_and_does_not_move_stands_still():
    behind = [*ALL[:3], Reader(3, next_offset=50, end_offset=1050)]
    seen = look(behind)
    assert seen.breached
    assert seen.summary.endswith("embedder is 1,000 messages behind in catalogue.changes.v1-3 and not moving")
    assert not look(behind, since=NOW - MINUTE / 2).breached


def test_one_that_moves_is_well_however_far_behind():
    before = movements({}, positions([Reader(0, next_offset=1, end_offset=10**6)]), NOW - 9 * MINUTE)
    reader = Reader(0, partitions=1, next_offset=2, end_offset=10**6)
    moved = movements(before, positions([reader]), NOW)
    assert not standstill(EMBEDDING, [reader], moved, partitions=1, before=NOW - MINUTE).breached


def test_one_that_takes_over_for_ever_stands_still():
    seen = look([*ALL[:3], Reader(3, next_offset=None, end_offset=0)])
    assert "still taking over catalogue.changes.v1-3" in seen.summary


def test_of_two_that_hand_over_the_further_counts():
    old, new = Reader(0, next_offset=100, end_offset=100), Reader(0, next_offset=None, end_offset=100)
    assert not look([old, new, *ALL[1:]]).breached


def test_joined_topics_are_one_piece_of_work():
    joining = next(work for work in works(["judgements"], ["g1"]) if work.reading == "judgements-join")
    read = [Reader(n, topic) for n in range(4) for topic in ("search.queries.v1", "search.events.v1")]
    assert not look(read, work=joining).breached
    assert (
        "no judgements owns partition 2"
        in look([reader for reader in read if reader.partition != 2], work=joining).summary
    )


def test_every_generation_has_its_embedder_and_who_does_not_run_is_not_missed():
    assert [w.reading for w in works({"embedder"}, ["g1", "g2"])] == ["embedder-g1", "embedder-g2"]
    assert [w.reading for w in works({"judgements"}, ["g1"])] == ["judgements-join", "judgements-window"]


@given(st.sets(st.integers(0, 30)))
def test_numbers_are_written_so_that_they_can_be_read_back(some):
    written = numbers(sorted(some))
    back = set()
    for run in filter(None, written.split(", ")):
        first, _, last = run.partition("-")
        back |= set(range(int(first), int(last or first) + 1))
    assert back == some


def seen(breached: bool, key: str = "detector:a") -> Observation:
    return Observation(key=key, breached=breached, summary="s", action="a")


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([(0, True), (1, True), (2, True), (3, True)], [2, 3]),  # never well: after the grace
        ([(0, False), (0.1, True)], [0, 0.1]),  # once well: at once
        ([(0, True), (1, False), (1.1, True)], [1, 1.1]),
        ([(5, True), (6, True), (7, True)], [7]),  # from its own first look
    ],
)
def test_what_was_never_well_has_its_grace(looks, told):
    grace, news = Grace(span=2 * MINUTE), []
    grace, _ = grace.admit([seen(False, "detector:other")], NOW)
    for minute, breached in looks:
        grace, found = grace.admit([seen(breached)], NOW + minute * MINUTE)
        news += [minute for _ in found]
    assert news == told
