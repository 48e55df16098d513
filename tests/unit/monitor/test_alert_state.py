"""The life of an alert."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import SEVERITIES, Observation
from services.monitor.alerts.domain.state import AlertPolicy, AlertState, step

START = datetime(2026, 11, 21, tzinfo=UTC)
POLICY = AlertPolicy(fire_after=2, resolve_after=3, update_every=timedelta(minutes=5))


def seen(
    breached: bool, signature: str = "a", severity: str = "warning", *, final: bool = False
) -> Observation:
    return Observation.model_validate(
        {
            "key": "detector:subject",
            "breached": breached,
            "severity": severity,
            "summary": f"{breached} {signature}",
            "action": "look",
            "signature": signature,
            "final": final,
        }
    )


def run(
    observations: list[Observation], policy: AlertPolicy = POLICY, every: timedelta = timedelta(minutes=1)
) -> tuple[AlertState, list[Alert]]:
    life, alerts = AlertState(), []
    for number, observation in enumerate(observations):
        life, alert = step(life, observation, now=START + number * every, policy=policy)
        life = AlertState.model_validate_json(life.model_dump_json())  # as it comes back from Redis
        alerts += [] if alert is None else [alert]
    return life, alerts


looks = st.builds(
    seen,
    st.booleans(),
    st.sampled_from("abc"),
    st.sampled_from(SEVERITIES),
    final=st.just(False),
)


def test_one_bad_look_does_not_fire_and_two_do():
    assert run([seen(True), seen(False), seen(True), seen(False)])[1] == []
    assert [a.status for a in run([seen(True), seen(True)])[1]] == ["firing"]


def test_one_good_look_does_not_resolve():
    alerts = run([seen(True)] * 2 + [seen(False)] * 2 + [seen(True)] + [seen(False)] * 3)[1]
    assert [a.status for a in alerts] == ["firing", "resolved"]
    assert alerts[1].updated_at == START + timedelta(minutes=7)


def test_what_must_last_is_not_said_before_it_has_lasted():
    policy = AlertPolicy(fire_after=2, resolve_after=2, lasting=timedelta(minutes=3))
    short = [seen(True)] * 3 + [seen(False)] + [seen(True)] * 3
    assert run(short, policy)[1] == []
    alerts = run([seen(True)] * 4 + [seen(False)] * 3 + [seen(True)] + [seen(False)] * 4, policy)[1]
    assert [(a.status, a.updated_at - START) for a in alerts] == [
        ("firing", timedelta(minutes=3)),
        ("resolved", timedelta(minutes=11)),
    ]


def test_the_same_thing_seen_again_and_again_is_said_once():
    assert len(run([seen(True)] * 1000)[1]) == 1


def test_an_update_waits_its_turn_but_a_higher_severity_does_not():
    changing = [seen(True), seen(True)] + [seen(True, "b")] * 10
    assert [a.status for a in run(changing)[1]] == ["firing", "updated"]
    assert run(changing)[1][1].updated_at == START + timedelta(minutes=6)
    worse = [seen(True), seen(True), seen(True, "b", "critical")]
    assert [a.severity for a in run(worse)[1]] == ["warning", "critical"]


def test_it_fires_again_after_it_was_resolved_with_a_new_start():
    alerts = run([seen(True)] * 2 + [seen(False)] * 3 + [seen(True)] * 2)[1]
    assert [a.status for a in alerts] == ["firing", "resolved", "firing"]
    assert alerts[0].started_at == alerts[1].started_at < alerts[2].started_at
    assert len({a.alert_key for a in alerts}) == 1


def test_a_subject_that_is_gone_closes_its_alert_at_once():
    life, alerts = run([seen(True)] * 2 + [seen(False, final=True)])
    assert alerts[-1].status == "resolved"
    assert not life.firing


def test_a_clock_set_back_does_not_turn_an_alerts_times_around():
    life, _ = step(AlertState(), seen(True), now=START, policy=AlertPolicy(fire_after=1))
    _, resolved = step(life, seen(False), now=START - timedelta(hours=1), policy=AlertPolicy(resolve_after=1))
    assert resolved is not None
    assert resolved.updated_at >= resolved.started_at


@given(observations=st.lists(looks, max_size=60))
def test_what_is_published_is_always_a_sequence_of_whole_lives(observations: list[Observation]):
    life, alerts = run(observations)
    open_since = None
    for alert in alerts:
        if alert.status == "firing":
            assert open_since is None
            open_since = alert.started_at
        assert alert.started_at == open_since
        if alert.status == "resolved":
            open_since = None
    assert life.firing == (open_since is not None)


@given(observations=st.lists(looks, max_size=60))
def test_firing_means_that_the_last_agreeing_row_was_long_enough(observations: list[Observation]):
    firing, row = False, 0
    for observation in observations:
        row = row + 1 if observation.breached != firing else 0
        if row == (POLICY.resolve_after if firing else POLICY.fire_after):
            firing, row = not firing, 0
    life, _ = run(observations)
    assert life.firing == firing
    assert life.settled == (row == 0)


@given(observations=st.lists(looks, max_size=60))
def test_an_open_alert_speaks_at_most_once_in_a_span_unless_it_gets_worse(observations: list[Observation]):
    alerts = run(observations, every=timedelta(seconds=30))[1]
    for before, after in pairwise(alerts):
        if after.status == "updated" and after.updated_at - before.updated_at < POLICY.update_every:
            assert SEVERITIES.index(after.severity) > SEVERITIES.index(before.severity)


@given(observations=st.lists(looks, max_size=40), cut=st.integers(0, 40))
def test_a_restart_between_two_looks_changes_nothing(observations: list[Observation], cut: int):
    # `live` sends every life through its stored form; here the two halves meet in one stored life.
    life, alerts = AlertState(), []
    for number, observation in enumerate(observations):
        if number == cut:
            life = AlertState.model_validate_json(life.model_dump_json())
        life, alert = step(life, observation, now=START + timedelta(minutes=number), policy=POLICY)
        alerts += [] if alert is None else [alert]
    assert alerts == run(observations)[1]
