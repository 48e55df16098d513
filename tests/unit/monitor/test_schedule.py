"""When the canaries run."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.monitor.canaries.domain.schedule import Pace, Timing, due

START = datetime(2026, 11, 21, tzinfo=UTC)
PACE = Pace()
RAN = Timing().ran(START, START + timedelta(seconds=0.1), unsettled=False)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_first_run_is_at_once():
    assert due(Timing(), START, PACE) == "timer"


def test_a_quiet_shop_is_looked_at_on_the_timer():
    assert due(RAN, after(59), PACE) is None
    assert due(RAN, after(61), PACE) == "timer"


def test_a_batch_is_followed_by_a_run_when_it_is_over():
    busy = RAN.changed(after(10)).changed(after(10.8))
    assert due(busy, after(11.5), PACE) is None
    assert due(busy, after(12), PACE) == "batch"


def test_constant_traffic_cannot_put_a_run_off_for_ever():
    busy = RAN
    for tenth in range(100, 260):
        busy = busy.changed(after(tenth / 10))
        if tenth < 249:
            assert due(busy, after(tenth / 10), PACE) is None
    assert due(busy, after(25.9), PACE) == "batch"


def test_a_change_during_a_run_waits_for_the_next():
    timing = RAN.changed(after(20)).ran(after(19), after(21), unsettled=False)
    assert due(timing, after(40), PACE) == "batch"
    assert due(RAN.changed(after(20)).ran(after(21), after(22), unsettled=False), after(40), PACE) is None


def test_what_was_seen_is_confirmed_soon():
    timing = Timing().ran(START, after(0.1), unsettled=True)
    assert due(timing, after(1), PACE) is None
    assert due(timing, after(2.2), PACE) == "confirm"


def test_a_command_is_obeyed():
    assert due(RAN.ordered(after(1)), after(3), PACE) == "command"
    assert due(RAN.ordered(after(3)).ran(after(3), after(4), unsettled=False), after(30), PACE) is None


def test_a_command_during_a_run_waits_for_the_next():
    timing = RAN.ordered(after(3.5)).ran(after(3), after(4), unsettled=False)
    assert due(timing, after(30), PACE) == "command"


@given(
    length=st.floats(0, 100),
    idle=st.floats(0, 500),
    commanded=st.booleans(),
    unsettled=st.booleans(),
    change=st.none() | st.floats(0, 100),
)
def test_there_is_always_rest_in_proportion_to_the_last_run(length, idle, commanded, unsettled, change):
    finished = after(length)
    timing = Timing().ran(START, finished, unsettled=unsettled)
    timing = timing.ordered(finished) if commanded else timing
    timing = timing if change is None else timing.changed(after(change))
    if due(timing, finished + timedelta(seconds=idle), PACE) is not None:
        assert idle + 1e-3 >= max(PACE.rest.total_seconds(), PACE.rest_factor * length)
