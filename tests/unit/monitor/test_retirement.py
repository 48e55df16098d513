"""Alerts on a generation end when it is no longer served."""

from hypothesis import given
from hypothesis import strategies as st

from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.retirement import retired
from services.monitor.alerts.domain.state import AlertPolicy, AlertState, step
from tests.unit.monitor.conftest import NOW

AT_ONCE = AlertPolicy(fire_after=1, resolve_after=1)


def fired(generation: str | None, key: str = "freshness:g") -> AlertState:
    seen = Observation(key=key, breached=True, summary="s", action="a", generation=generation)
    return step(AlertState(), seen, now=NOW, policy=AT_ONCE)[0]


def test_an_alert_on_a_generation_that_is_gone_is_closed_at_once():
    [closing] = retired({"freshness:g2": fired("g2")}, live=["g1"])
    assert (closing.key, closing.breached, closing.final) == ("freshness:g2", False, True)
    assert closing.summary == "generation g2 is no longer served"
    after, alert = step(fired("g2"), closing, now=NOW, policy=AlertPolicy(resolve_after=99))
    assert alert is not None
    assert (alert.status, after.firing) == ("resolved", False)


def test_alerts_on_what_is_live_or_on_no_generation_go_on():
    states = {"freshness:g1": fired("g1"), "zero-results:search": fired(None)}
    assert retired(states, live=["g1"]) == []


def test_what_has_only_begun_to_look_bad_is_left_to_its_watch():
    streak = step(
        AlertState(),
        Observation(key="k", breached=True, summary="s", action="a", generation="g2"),
        now=NOW,
        policy=AlertPolicy(fire_after=2),
    )[0]
    assert retired({"k": streak}, live=[]) == []


names = st.sampled_from(["g1", "g2", "g3", None])


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), names), st.sets(st.sampled_from(["g1", "g2"])))
def test_exactly_the_alerts_on_generations_that_are_not_live_are_closed(of_keys, live):
    states = {key: fired(generation, key) for key, generation in of_keys.items()}
    closed = [closing.key for closing in retired(states, live)]
    gone = {key for key, generation in of_keys.items() if generation is not None and generation not in live}
    assert closed == sorted(gone)
