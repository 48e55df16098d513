"""What is read from the workers' pages."""

import pytest

from services.cli.benchmarks.ground import Moment, handled, totals

PAGE = """\
# HELP headrace_applied_total Messages that changed state
# TYPE headrace_applied_total counter
headrace_applied_total{partition="0",topic="a"} 3.0
headrace_applied_total{partition="1",topic="a"} 4.0
# HELP headrace_no_op_total Messages that changed nothing
# TYPE headrace_no_op_total counter
headrace_no_op_total{partition="0",topic="a"} 2.0
# HELP headrace_batch_size_messages Messages a batch
# TYPE headrace_batch_size_messages histogram
headrace_batch_size_messages_bucket{le="1.0",topic="a"} 1.0
headrace_batch_size_messages_count{topic="a"} 1.0
# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
"""


def moment(time: float, applied: float, cpu: float) -> Moment:
    return Moment(time, {"w": {"headrace_applied_total": applied}}, {"w": cpu})


def test_a_series_is_summed_over_its_labels():
    assert totals(PAGE)["headrace_applied_total"] == 7


def test_histograms_are_left_out():
    assert not [name for name in totals(PAGE) if "batch_size" in name]


def test_a_message_is_handled_whatever_became_of_it():
    assert handled(totals(PAGE)) == 9


def test_between_two_moments_only_what_happened_since_counts():
    before, after = moment(0, 10, 1.0), moment(1, 25, 3.5)
    assert after.handled_since(before, "w") == 15
    assert after.count_since(before, "w", "headrace_applied_total") == 15
    assert after.count_since(before, "w", "never_seen_total") == 0
    assert after.used_since(before) == {"w": pytest.approx(2.5)}
