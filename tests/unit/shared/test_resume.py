"""The state's offset decides where to begin; a gap is said aloud."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.records import Partition
from shared.resume import Hole, resume

AT = Partition("catalogue.changes.v1", 3)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
offsets = st.integers(min_value=0, max_value=2**40)


def test_a_new_state_begins_at_the_start_of_the_log():
    assert resume(AT, stored=None, beginning=7, end=9) == (7, None)


def test_what_retention_removed_is_a_hole():
    assert resume(AT, stored=5, beginning=8, end=20) == (8, Hole(AT, 5, 8))


def test_a_log_that_ends_before_the_state_is_said_aloud():
    offset, hole = resume(AT, stored=30, beginning=0, end=20)
    assert offset == 20
    assert hole is not None
    alert = hole.alert(NOW, worker="embedder")
    assert "before the 30 that embedder has applied" in alert.summary
    assert alert.severity == "critical"


def test_the_alert_counts_what_is_missing():
    alert = Hole(AT, 5, 8).alert(NOW, worker="embedder")
    assert alert.alert_key == "offset-gap:catalogue.changes.v1-3:5"
    assert alert.summary.startswith("3 messages of catalogue.changes.v1-3 were gone")
    assert alert.evidence["from"] == 5
    assert alert.resolution == "manual"
    assert alert.action.endswith(f"`headrace alerts resolve {alert.alert_key}`")


@given(stored=offsets, edges=st.tuples(offsets, offsets).map(sorted))
def test_nothing_is_skipped_in_silence(stored, edges):
    beginning, end = edges
    offset, hole = resume(AT, stored=stored, beginning=beginning, end=end)
    assert beginning <= offset <= end
    assert (hole is None) == (offset == stored)
