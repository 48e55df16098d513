"""Service, lag and freshness of the shards, and whether search can be reached."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.monitor.canaries.domain.reach import partiality, reachability
from services.monitor.freshness.domain.movement import movements
from services.monitor.freshness.domain.shards import (
    FreshnessObjective,
    behind,
    idle,
    stale,
    unserved,
)
from services.monitor.generations import applied_offsets

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Owner:
    partition: int
    partitions: int = 4
    next_offset: int = 100
    end_offset: int = 100
    ready: bool = True
    ingestion_p50: float | None = 0.1
    ingestion_p99: float | None = 0.5
    freshness_p50: float | None = 86_400.0
    freshness_p99: float | None = 959_619.0
    updated_at: datetime = NOW


owners = st.lists(
    st.builds(
        Owner,
        partition=st.integers(0, 3),
        next_offset=st.integers(0, 50_000),
        end_offset=st.integers(0, 50_000),
        ready=st.booleans(),
        ingestion_p99=st.none() | st.floats(0, 100),
    ),
    max_size=10,
)


@given(owners)
def test_a_shard_is_missing_exactly_when_no_owner_is_ready(announced):
    seen = unserved(announced, partitions=4, generation="g1")
    assert len(seen) == 4
    for shard, observation in enumerate(seen):
        assert observation.breached == (not any(o.ready and o.partition == shard for o in announced))
        assert observation.key == f"shard-missing:g1-{shard}"


def test_a_loading_owner_and_no_owner_are_told_apart():
    seen = unserved([Owner(0, ready=False)], partitions=2, generation="g1")
    assert "still loading" in seen[0].summary
    assert "has no owner" in seen[1].summary


def test_owners_say_how_many_shards_there_are():
    assert len(unserved([Owner(0, partitions=8)], partitions=4, generation="g1")) == 8


def test_the_best_replica_counts():
    slow, fast = Owner(0, next_offset=0, end_offset=50_000), Owner(0, next_offset=49_999, end_offset=50_000)
    how = {"objective": FreshnessObjective(), "generation": "g1", "now": NOW}
    assert [o.breached for o in behind([slow, fast], {}, **how)] == [False]
    assert [o.breached for o in behind([slow], {}, **how)] == [True]


@given(owners)
def test_freshness_is_breached_exactly_when_a_serving_owner_is_late(announced):
    seen = stale(announced, objective=FreshnessObjective(), generation="g1")
    if seen is None:
        assert not any(o.ready and o.ingestion_p99 is not None and o.ingestion_p99 > 100 for o in announced)
    else:
        assert seen.breached == (seen.evidence["p99_seconds"] > 5)


def test_old_event_times_are_evidence_and_no_alert():
    """Found on a shop whose rows were imported again: changes "became searchable in 959,619 s"."""
    seen = stale([Owner(0)], objective=FreshnessObjective(), generation="g1")
    assert not seen.breached
    assert (seen.evidence["p99_seconds"], seen.evidence["event_time_p99_seconds"]) == (0.5, 959_619)
    late = stale([Owner(0, ingestion_p99=6.0)], objective=FreshnessObjective(), generation="g1")
    assert late.breached
    assert late.summary.startswith("changes become searchable 6.00 s after they were written to the bus")


def test_a_shard_that_does_not_know_when_its_changes_were_written_is_not_late():
    before = [Owner(0, ingestion_p50=None, ingestion_p99=None)]
    assert stale(before, objective=FreshnessObjective(), generation="g1") is None
    resting = stale(before, objective=FreshnessObjective(), generation="g1", idle=frozenset({0}))
    assert not resting.breached, "an alert of before its owner was started again must end"


def test_a_shard_with_nothing_to_do_becomes_fresh_again():
    """Found in the first run of the whole: after an import, an idle shard kept its alert for ever."""
    owner = [Owner(0, ingestion_p99=283.0)]
    minute, objective = timedelta(minutes=1), FreshnessObjective()
    moved = movements({}, applied_offsets(owner), NOW)
    moved = movements(moved, applied_offsets(owner), NOW + minute / 2)
    assert idle(moved, owner, now=NOW + minute / 2, after=minute) == frozenset()
    resting = idle(
        movements(moved, applied_offsets(owner), NOW + minute), owner, now=NOW + minute, after=minute
    )
    assert resting == {0}
    seen = stale(owner, objective=objective, generation="g1", idle=resting)
    assert seen is not None
    assert not seen.breached
    behind_ = [Owner(0, ingestion_p99=283.0, end_offset=200)]
    assert idle(moved, behind_, now=NOW + minute, after=minute) == frozenset()
    again = movements(moved, {0: 101}, NOW + minute)
    assert again[0].since == NOW + minute


def test_the_advice_tells_a_slow_shard_from_a_slow_embedder():
    behind_itself = Owner(0, next_offset=1, end_offset=90, ingestion_p99=60.0)
    waiting = Owner(0, ingestion_p99=60.0)
    advice = [
        stale([o], objective=FreshnessObjective(), generation="g1").action for o in (behind_itself, waiting)
    ]
    assert "shards worker" in advice[0]
    assert "embedder" in advice[1]


def test_positions_are_the_furthest_of_each_shard():
    assert applied_offsets([Owner(0, next_offset=5), Owner(0, next_offset=9), Owner(1)]) == {0: 9, 1: 100}


def test_a_search_that_fails_is_a_finding_of_its_own():
    seen = reachability(10, ["no answer within the time limit"] * 6 + ["HTTP 500: oops"], generation="g1")
    assert seen is not None
    assert seen.breached
    assert seen.severity == "critical"
    assert "7 of 10 canary searches failed: no answer" in seen.summary
    assert reachability(0, [], generation="g1") is None
    healthy = reachability(10, [], generation="g1")
    assert healthy is not None
    assert not healthy.breached
    half = partiality(10, 3, generation="g1")
    assert half is not None
    assert half.breached
