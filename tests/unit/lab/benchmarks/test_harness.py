"""What is read from the workers' pages."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.benchmarks import harness
from services.lab.benchmarks.harness import Gauges, Moment, handled, totals
from shared.errors import TransientError
from shared.infrastructure.process import free_port
from tests.unit.answering import answering

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


class Installation:
    """As much of a stack as is measured: workers with a page each."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports

    def url(self, worker: str) -> str:
        return f"http://127.0.0.1:{self.ports[worker]}"

    def tail(self, worker: str) -> str:
        return f"the last line of {worker}"


@pytest.fixture
def gauges():
    with answering({"/metrics": (200, PAGE)}) as port:
        gauges = Gauges(Installation({"w": port}))  # type: ignore[arg-type]  all that is asked of it
        yield gauges
        gauges.close()


def test_a_worker_s_page_is_read(gauges):
    assert handled(gauges.of("w")) == 9


def test_work_that_is_done_is_not_waited_for(gauges):
    seen = []
    gauges.wait("w", lambda counted: handled(counted) >= 9, lambda counted: seen.append(handled(counted)))
    assert seen == [9]


def test_work_that_stalls_is_an_error_with_the_end_of_the_log(gauges, monkeypatch):
    monkeypatch.setattr(harness, "STALLED_SECONDS", 0.0)
    monkeypatch.setattr(harness, "POLL_SECONDS", 0.0)
    with pytest.raises(TransientError, match=r"w did nothing for 0 s; .*\nthe last line of w"):
        gauges.wait("w", lambda _: False, lambda _: None)


def test_a_worker_that_does_not_answer_is_an_error():
    gauges = Gauges(Installation({"w": free_port()}))  # type: ignore[arg-type]
    with pytest.raises(httpx.ConnectError):
        gauges.of("w")
    gauges.close()


counts = st.dictionaries(
    st.sampled_from(["headrace_applied_total", "headrace_no_op_total", "headrace_lag_messages"]),
    st.floats(0, 1e6),
)


@given(counts, counts)
def test_what_a_worker_handled_between_two_moments_is_the_sum_of_what_it_did(before, after):
    first, second = Moment(0, {"w": before}, {}), Moment(1, {"w": after}, {})
    names = ("headrace_applied_total", "headrace_no_op_total")
    grown = sum(second.count_since(first, "w", name) for name in names)
    assert second.handled_since(first, "w") == pytest.approx(grown)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_a_total_is_the_sum_over_partitions(values):
    lines = [f'x_total{{partition="{n}"}} {value}' for n, value in enumerate(values)]
    assert totals("# TYPE x_total counter\n" + "\n".join(lines) + "\n")["x_total"] == pytest.approx(
        sum(values)
    )


def test_a_worker_that_is_new_began_with_no_cpu():
    assert moment(1, 0, 3.5).used_since(Moment(0, {}, {})) == {"w": 3.5}


def test_cpu_by_stage_is_told_beside_its_sum():
    page = "# TYPE headrace_stage_cpu_seconds_total counter\n" + "".join(
        f'headrace_stage_cpu_seconds_total{{stage="{name}"}} {used}\n'
        for name, used in (("merge", 1.0), ("plan", 2.5))
    )
    counted = harness.totals(page)
    assert counted["headrace_stage_cpu_seconds_total"] == 3.5
    before = harness.Moment(0.0, {"embedder": {}, "search": {}}, {})
    after = harness.Moment(1.0, {"embedder": counted, "search": {}}, {})
    assert after.stages_since(before) == {"embedder": {"plan": 2.5, "merge": 1.0}}
