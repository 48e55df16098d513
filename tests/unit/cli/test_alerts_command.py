"""`headrace alerts tail | resolve`: which alerts are shown, and in which form."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.alerts import Alert
from services.cli.alerts import AlertPrinter, alert_line, alert_table
from services.monitor.alerts.domain.open_alerts import MOST_SEVERE_FIRST
from services.monitor.alerts.requests import open_alerts, resolved_by_hand
from shared.errors import ConfigurationError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def alert(key: str = "shard-missing:g1-3", **fields) -> Alert:
    return Alert(
        **{
            "alert_key": key,
            "status": "firing",
            "severity": "critical",
            "summary": "shard 3 of g1 has no owner",
            "action": "start a shards worker",
            "started_at": NOON,
            "updated_at": NOON,
            **fields,
        }
    )


def printed(alerts: list[Alert], capsys, **options) -> str:
    form = {"json_": False, "follow": False, "open_": False, "last": 20, **options}
    printer = AlertPrinter(Console(highlight=False, soft_wrap=True, width=80), **form)
    capsys.readouterr()
    printer.past(alerts)
    return capsys.readouterr().out


HISTORY = [
    alert("a", status="firing"),
    alert("b", status="firing", severity="warning"),
    alert("a", status="resolved"),
    alert("c", status="updated", severity="info", cause="drift"),
]


def test_an_open_alert_is_shown_with_what_to_do_and_what_it_looks_like() -> None:
    text = alert_line(alert(cause="bug")).plain
    first, second = text.splitlines()
    assert first.split()[2:5] == ["firing", "critical", "shard-missing:g1-3"]
    assert first.endswith("shard 3 of g1 has no owner")
    assert second.strip() == "→ start a shards worker (looks like a bug)"


def test_a_resolved_alert_needs_nothing_to_be_done() -> None:
    assert "→" not in alert_line(alert(status="resolved")).plain


@pytest.mark.parametrize("severity", MOST_SEVERE_FIRST)
@pytest.mark.parametrize("status", ["firing", "updated", "resolved"])
def test_every_severity_and_status_can_be_shown(severity, status) -> None:
    plain = alert_line(alert(severity=severity, status=status)).plain
    assert severity in plain
    assert status in plain


def test_the_last_of_the_past_are_printed_in_their_order(capsys) -> None:
    shown = printed(HISTORY, capsys, last=2)
    assert [line.split()[4] for line in shown.splitlines() if "→" not in line] == ["a", "c"]
    assert printed(HISTORY, capsys, last=0) == ""
    assert len(printed(HISTORY, capsys, last=99).splitlines()) == len(HISTORY) + 3


def test_open_alerts_are_a_table_most_severe_first_and_it_fits(capsys) -> None:
    lines = printed(HISTORY, capsys, open_=True).splitlines()
    assert lines[0].split() == [
        "since",
        "severity",
        "alert",
        "what",
        "is",
        "wrong,",
        "and",
        "what",
        "to",
        "do",
    ]
    assert [line.split()[2] for line in lines if "warning" in line or "info" in line] == ["warning", "info"]
    assert any("looks like a drift" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_no_open_alert_is_said(capsys) -> None:
    assert printed([alert("a", status="resolved")], capsys, open_=True) == "no open alerts\n"


def test_as_json_it_is_one_object_or_followed_one_a_line(capsys) -> None:
    whole = json.loads(printed(HISTORY, capsys, json_=True))
    assert [each["alert_key"] for each in whole["alerts"]] == ["a", "b", "a", "c"]
    lines = printed(HISTORY, capsys, json_=True, follow=True).splitlines()
    assert [Alert.decode(line.encode()) for line in lines] == HISTORY
    opened = json.loads(printed(HISTORY, capsys, json_=True, open_=True))
    assert {each["alert_key"] for each in opened["alerts"]} == {"b", "c"}


@given(
    st.lists(
        st.builds(
            lambda key, status, severity, minutes: alert(
                key, status=status, severity=severity, started_at=NOON + timedelta(minutes=minutes)
            ),
            st.sampled_from("abcde"),
            st.sampled_from(["firing", "updated", "resolved"]),
            st.sampled_from(MOST_SEVERE_FIRST),
            st.integers(0, 9),
        ),
        max_size=20,
    )
)
def test_what_is_open_is_the_last_word_of_each_alert_that_is_not_resolved(history: list[Alert]) -> None:
    shown = open_alerts(history)
    last = {each.alert_key: each for each in history}
    assert {each.alert_key for each in shown} == {k for k, each in last.items() if each.status != "resolved"}
    ranks = [(MOST_SEVERE_FIRST.index(each.severity), each.started_at) for each in shown]
    assert ranks == sorted(ranks)
    assert len(alert_table(shown).rows) == len(shown)


def test_what_only_a_person_can_know_is_closed_with_a_note() -> None:
    closed = resolved_by_hand(
        "k", alert(resolution="manual"), note="published again", now=NOON + timedelta(1)
    )
    assert (closed.status, closed.action, closed.updated_at) == (
        "resolved",
        "nothing to do",
        NOON + timedelta(1),
    )
    assert closed.summary.endswith("(closed by hand: published again)")
    assert resolved_by_hand("k", alert(resolution="manual"), note="", now=NOON).summary.endswith("by hand)")


def test_a_clock_that_is_behind_does_not_close_an_alert_before_it_was_updated() -> None:
    late = alert(resolution="manual", updated_at=NOON + timedelta(hours=1))
    assert resolved_by_hand("k", late, note="", now=NOON).updated_at == late.updated_at


@pytest.mark.parametrize(
    ("latest", "complaint"),
    [
        (None, "no alert k is open: `headrace alerts tail --open`"),
        (alert(status="resolved"), "no alert k is open"),
        (alert(), "k resolves by itself when what it saw is over. To do: start a shards worker"),
    ],
)
def test_what_is_not_for_people_to_close_is_refused_with_what_to_do(latest, complaint) -> None:
    with pytest.raises(ConfigurationError) as refused:
        resolved_by_hand("k", latest, note="", now=NOON)
    assert str(refused.value).startswith(complaint)


@pytest.mark.parametrize("arguments", [("tail", "--no-follow"), ("resolve", "some-alert")])
def test_without_a_broker_the_error_is_one_line(headrace, arguments) -> None:
    done = headrace("alerts", *arguments)
    assert (done.code, done.out) == (1, "")
    assert "127.0.0.1:" in done.error


def test_which_alert_is_to_be_resolved_must_be_said(headrace) -> None:
    done = headrace("alerts", "resolve")
    assert done.code == 2
    assert "Missing argument 'alert_key'" in done.usage
