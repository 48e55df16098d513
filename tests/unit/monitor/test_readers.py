"""Whether the hot topics are read, and the grace of what is still starting."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.alerts.domain.grace import Grace
from services.monitor.alerts.domain.observation import Observation
from services.monitor.freshness.domain.movement import movements
from services.monitor.freshness.domain.readers import numbers, positions, standstill
from services.monitor.freshness.domain.work import WATCHED, ExpectedWork, expected_work, unless_left_out
from shared.infrastructure.workers import WORKERS

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WORK = {work.reading: work for work in expected_work(["g1"])}
EMBEDDING, ROUTING = WORK["embedder-g1"], WORK["router-catalogue"]


@dataclass(frozen=True)
class Reader:
    partition: int
    topic: str = "catalogue.changes.v1"
    partitions: int = 4
    next_offset: int | None = 100
    end_offset: int = 100
    uncommitted: int = 0
    instance: str = "r"


def observe(
    readers: list[Reader], *, since: datetime = NOW - MINUTE, work: ExpectedWork = EMBEDDING
) -> Observation:
    moved = movements({}, positions(work, readers), since)
    return standstill(work, readers, moved, partitions=4, before=NOW - MINUTE)


ALL = [Reader(number) for number in range(4)]


def test_a_dead_embedder_is_called_by_what_it_means():
    seen = observe([])
    assert seen.key == "standstill:embedder-g1"
    assert seen.summary == "catalogue changes are not being embedded: no embedder owns partitions 0-3"
    assert (seen.breached, seen.severity) == (True, "critical")
    assert "start the embedder worker" in seen.action
    healthy = observe(ALL)
    assert not healthy.breached
    assert healthy.summary == "catalogue changes are being embedded, 0 to go"


def test_a_reader_that_is_behind_and_does_not_move_stands_still():
    behind = [*ALL[:3], Reader(3, next_offset=50, end_offset=1050)]
    seen = observe(behind)
    assert seen.breached
    assert seen.summary.endswith("embedder is 1,000 messages behind in catalogue.changes.v1-3 and not moving")
    assert not observe(behind, since=NOW - MINUTE / 2).breached


def test_one_that_moves_is_well_however_far_behind():
    slow = Reader(0, next_offset=1, end_offset=10**6)
    before = movements({}, positions(EMBEDDING, [slow]), NOW - 9 * MINUTE)
    reader = Reader(0, partitions=1, next_offset=2, end_offset=10**6)
    moved = movements(before, positions(EMBEDDING, [reader]), NOW)
    assert not standstill(EMBEDDING, [reader], moved, partitions=1, before=NOW - MINUTE).breached


def test_a_transaction_that_is_never_ended_is_a_standstill_with_the_way_out():
    waiting = [*ALL[:3], Reader(3, uncommitted=12)]
    seen = observe(waiting)
    assert seen.breached
    assert seen.summary.endswith(
        "12 offsets of catalogue.changes.v1-3 wait for a producer that has not ended its transaction at 100"
    )
    assert "kafka-transactions.sh find-hanging" in seen.action
    assert "look at the embedder" in observe([*waiting[1:], Reader(0, next_offset=9)]).action
    assert not observe(waiting, since=NOW - MINUTE / 2).breached


def test_one_that_takes_over_for_ever_stands_still():
    seen = observe([*ALL[:3], Reader(3, next_offset=None, end_offset=0)])
    assert "still taking over catalogue.changes.v1-3" in seen.summary


def test_of_two_that_hand_over_the_further_counts():
    old, new = Reader(0, next_offset=100, end_offset=100), Reader(0, next_offset=None, end_offset=100)
    assert not observe([old, new, *ALL[1:]]).breached


def test_joined_topics_are_one_piece_of_work():
    joining = WORK["judgements-join"]
    read = [Reader(n, topic) for n in range(4) for topic in ("search.queries.v1", "search.events.v1")]
    assert not observe(read, work=joining).breached
    assert (
        "no judgements owns partition 2"
        in observe([reader for reader in read if reader.partition != 2], work=joining).summary
    )


def readings(worker: str, *generations: str) -> list[str]:
    return [work.reading for work in expected_work(generations) if work.worker == worker]


def test_every_generation_has_its_embedder():
    assert readings("embedder", "g1", "g2") == ["embedder-g1", "embedder-g2", "router-catalogue"]
    assert readings("judgements", "g1") == ["judgements-join", "judgements-window", "router-search"]


def test_every_worker_has_work_that_it_is_missed_by_but_for_shards_which_have_owners():
    assert {work.worker for work in WORK.values()} == WATCHED - {"shards"}
    assert {spec.kind for spec in WORKERS} - {"monitor"} == WATCHED


@pytest.mark.parametrize(
    ("reading", "topic", "severity", "says"),
    [
        (
            "search",
            "rollout.v1",
            "critical",
            "searches are not being answered: there is no search worker that is ready",
        ),
        (
            "trainer",
            "training.jobs.v1",
            "warning",
            "training jobs are not being done: there is no trainer worker that is ready",
        ),
        (
            "rollout",
            "rollout.v1",
            "warning",
            "rollout requests are not being answered: there is no rollout worker that is ready",
        ),
        (
            "collector",
            "search.events.v1",
            "critical",
            "events of the shop's pages are not being taken in: there is no collector worker that is ready",
        ),
        (
            "negatives",
            "search.judgements.v1",
            "warning",
            "judgements are not being mined for hard negatives: no negatives owns partitions 0-3",
        ),
    ],
)
def test_a_worker_that_is_gone_is_called_by_what_it_means(reading, topic, severity, says):
    work = WORK[reading]
    gone = observe([], work=work)
    assert (gone.breached, gone.severity, gone.summary) == (True, severity, says)
    assert f"start the {work.worker} worker" in gone.action
    assert "monitor.freshness.workers" in gone.action
    partitions = 4 if work.shared_out else 1
    back = [Reader(number, topic, partitions) for number in range(partitions)]
    assert not observe(back, work=work).breached
    behind = [Reader(number, topic, partitions, next_offset=7) for number in range(partitions)]
    assert f"93 messages behind in {topic}-0 and not moving" in observe(behind, work=work).summary


def test_of_processes_that_each_read_everything_the_last_counts():
    """One that heard of no rollout since sends searches where nothing is served any more."""
    quick = Reader(0, "rollout.v1", 1, instance="a")
    slow = Reader(0, "rollout.v1", 1, next_offset=98, instance="b")
    seen = observe([slow, quick], work=WORK["search"])
    assert seen.summary == (
        "searches may go to a generation that is no longer live: "
        "search is 2 messages behind in rollout.v1-0 and not moving"
    )
    assert seen.evidence["instances"] == ("b",)
    assert not observe([quick], work=WORK["search"]).breached


def test_what_is_left_out_is_well_and_says_why():
    gone = unless_left_out(observe([], work=WORK["trainer"]), "trainer", {"embedder"})
    assert not gone.breached
    assert gone.summary == "no trainer worker is expected here: monitor.freshness.workers leaves it out"


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
    ("looks", "counted"),
    [
        ([(0, True), (1, True), (2, True), (3, True)], [2, 3]),  # never well: after the grace
        ([(0, False), (0.1, True)], [0, 0.1]),  # once well: at once
        ([(0, True), (1, False), (1.1, True)], [1, 1.1]),
        ([(5, True), (6, True), (7, True)], [7]),  # from its own first look
    ],
)
def test_what_was_never_well_has_its_grace(looks, counted):
    grace, news = Grace(span=2 * MINUTE), []
    grace, _ = grace.admit([seen(False, "detector:other")], NOW)
    for minute, breached in looks:
        grace, found = grace.admit([seen(breached)], NOW + minute * MINUTE)
        news += [minute for _ in found]
    assert news == counted
