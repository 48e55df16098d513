"""Who waits for what, and what becomes of it on the bus."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.alerts import Alert
from shared.errors import TransientError
from shared.pauses import Pause, Pauses
from shared.process.pause_alerts import FORSAKEN, RENEWED, Reporter, decide

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FULL = TransientError("Redis is full (OOM)", cause="redis.full", fix="raise its maxmemory")
A, B = Reporter("embedder", "a"), Reporter("embedder", "b")


def after(alerts: Sequence[Alert], bus: dict[str, Alert]) -> dict[str, Alert]:
    """Return the open alerts once these were published."""
    bus = bus | {alert.alert_key: alert for alert in alerts}
    return {key: alert for key, alert in bus.items() if alert.status != "resolved"}


def waiting(*names: str) -> dict[str, Pause]:
    return {"redis.full": Pause(FULL, names)} if names else {}


def test_everybody_who_waits_for_one_thing_is_under_one_cause() -> None:
    pauses, first, second = Pauses(), object(), object()
    pauses.begin(first, "changes-0", FULL)
    pauses.begin(second, "changes-1", FULL)
    pauses.begin(second, "changes-1", FULL)
    assert pauses.by_cause() == {"redis.full": Pause(FULL, ["changes-0", "changes-1"])}
    pauses.end(first)
    pauses.begin(second, "changes-1", TransientError("the rest is for the next owner"))
    assert pauses.by_cause() == {}


def test_a_pause_is_one_alert_with_the_cause_and_the_way_out_and_ends_with_it() -> None:
    [alert] = decide({}, waiting("changes-0", "changes-1"), A, now=NOW)
    assert alert.alert_key == "paused:embedder:redis.full"
    assert (alert.status, alert.severity, alert.resolution) == ("firing", "critical", "automatic")
    assert "Redis is full (OOM)" in alert.summary
    assert "raise its maxmemory" in alert.action
    assert alert.evidence["waiting"] == ("changes-0", "changes-1")
    bus = after([alert], {})
    assert decide(bus, waiting("changes-0"), A, now=NOW + RENEWED / 2) == []
    [again] = decide(bus, waiting("changes-0"), A, now=NOW + RENEWED)
    assert (again.status, again.started_at) == ("updated", NOW)
    [end] = decide(after([again], bus), {}, A, now=NOW + RENEWED * 2)
    assert (end.status, end.started_at, end.updated_at) == ("resolved", NOW, NOW + RENEWED * 2)


def test_of_two_workers_the_one_that_waits_has_the_last_word() -> None:
    bus = after(decide({}, waiting("changes-0"), A, now=NOW), {})
    assert decide(bus, {}, B, now=NOW + RENEWED) == []
    [end] = decide(bus, {}, B, now=NOW + FORSAKEN)
    assert end.status == "resolved"


@given(steps=st.lists(st.tuples(st.sampled_from([A, B]), st.booleans()), max_size=40))
def test_whatever_comes_the_bus_says_in_the_end_whether_somebody_waits(
    steps: list[tuple[Reporter, bool]],
) -> None:
    bus: dict[str, Alert] = {}
    states, now = {A: False, B: False}, NOW
    for reporter, waits in steps:
        states[reporter] = waits
        now += timedelta(seconds=7)
        bus = after(decide(bus, waiting(*["changes-0"] * waits), reporter, now=now), bus)
        assert bus or not waits
    for _ in range(int(FORSAKEN / RENEWED) + 1):
        now += RENEWED
        for reporter, waits in states.items():
            bus = after(decide(bus, waiting(*["changes-0"] * waits), reporter, now=now), bus)
    assert bool(bus) == any(states.values())
