"""The state's offset decides where to begin; a gap is said aloud."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records import Partition
from shared.streaming.resume import OffsetGap, ReplacedLog, resume

AT = Partition("catalogue.changes.v1", 3)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
offsets = st.integers(min_value=0, max_value=2**40)


def test_a_new_state_begins_at_the_start_of_the_log():
    assert resume(AT, stored=None, beginning=7, end=9) == (7, None)


def test_what_retention_removed_is_a_gap():
    assert resume(AT, stored=5, beginning=8, end=20) == (8, OffsetGap(AT, 5, 8))


def test_a_log_that_ends_before_the_state_is_said_aloud():
    offset, gap = resume(AT, stored=30, beginning=0, end=20)
    assert offset == 20
    assert gap is not None
    alert = gap.alert(NOW, worker="embedder")
    assert "before the 30 that embedder has applied" in alert.summary
    assert alert.severity == "critical"


def test_a_log_that_may_be_another_one_is_read_from_its_beginning_when_it_ends_early():
    assert resume(AT, stored=30, beginning=2, end=20, known=False)[0] == 2
    assert resume(AT, stored=15, beginning=2, end=20, known=False) == (15, None)


@pytest.mark.parametrize(
    ("topic", "way_out"), [("catalogue.changes.v1", "deleted"), ("index.records.g1", "adopt")]
)
def test_a_topic_that_was_made_anew_is_one_alert_whoever_reads_it(topic, way_out):
    alerts = [
        ReplacedLog(Partition(topic, number), end=180, new_end=60, identity="5de893f4" * 4).alert(
            NOW, worker=worker
        )
        for number, worker in ((0, "embedder-g1"), (1, "embedder-g2"))
    ]
    assert {alert.alert_key for alert in alerts} == {f"topic-made-anew:{topic}:5de893f4"}
    assert "embedder-g1 was at 180 of partition 0, which now ends at 60" in alerts[0].summary
    assert alerts[0].started_at == NOW
    assert way_out in alerts[0].action + alerts[0].summary


@pytest.mark.parametrize(
    ("topic", "made_by"),
    [
        ("index.records.g2", "`HEADRACE_GENERATION=g2 headrace topics apply`"),
        ("search.outcomes.v1", "`headrace topics apply`"),
    ],
)
def test_what_is_to_be_done_about_a_topic_of_ours_is_said_in_its_order(topic, made_by):
    alert = ReplacedLog(Partition(topic, 0), end=180, new_end=60, identity="5de893f4").alert(
        NOW, worker="shards"
    )
    steps = [
        "stop all workers",
        f"delete the topic {topic}",
        made_by,
        "`headrace adopt`",
        "start the workers",
        f"`headrace alerts resolve topic-made-anew:{topic}:5de893f4`",
    ]
    places = [alert.action.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_the_alert_counts_what_is_missing():
    alert = OffsetGap(AT, 5, 8).alert(NOW, worker="embedder")
    assert alert.alert_key == "offset-gap:catalogue.changes.v1-3:5"
    assert alert.summary.startswith("3 messages of catalogue.changes.v1-3 were gone")
    assert alert.evidence["from"] == 5
    assert alert.resolution == "manual"
    assert alert.action.endswith(f"`headrace alerts resolve {alert.alert_key}`")


@given(stored=offsets, edges=st.tuples(offsets, offsets).map(sorted))
def test_nothing_is_skipped_in_silence(stored, edges):
    beginning, end = edges
    offset, gap = resume(AT, stored=stored, beginning=beginning, end=end)
    assert beginning <= offset <= end
    assert (gap is None) == (offset == stored)
