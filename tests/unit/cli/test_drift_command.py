"""`headrace drift status`: what is watched, how far it has learned, what is alarmed."""

import json

import pytest

from shared.infrastructure.process import free_port
from tests.unit.answering import answering

STATUS = {
    "false_alarm_every": 30 * 86400,
    "judged_until": "2026-11-20T12:00:00Z",
    "signals": [
        {"scope": "shop", "signal": "click-rate", "learned": 0.25, "alarmed": False, "cause": None},
        {"scope": "g1", "signal": "nearest", "learned": 1, "alarmed": False, "cause": None, "psi": 0.01},
        {
            "scope": "g1",
            "signal": "scores-median",
            "learned": 1,
            "alarmed": True,
            "cause": "bug",
            "psi": 0.3104,
            "psi_by_chance": 0.02,
        },
    ],
}


@pytest.fixture
def monitor(headrace, monkeypatch):
    with answering({"/drift": (200, json.dumps(STATUS))}) as port:
        monkeypatch.setenv("HEADRACE_MONITOR__PORT", str(port))
        yield headrace


def test_a_signal_is_learning_quiet_or_alarmed(monitor) -> None:
    done = monitor("drift", "status")
    assert done.code == 0
    assert done.lines[0] == "scope signal learned PSI (by chance)"
    assert "shop click-rate 25% learning" in done.lines
    assert "g1 nearest 100% 0.010 (0.000) quiet" in done.lines
    assert "g1 scores-median 100% 0.310 (0.020) alarmed (bug)" in done.lines
    assert "one false alarm in 30 days is stated" in done.out
    assert done.fits()


def test_the_status_as_json_is_what_the_monitor_says(monitor) -> None:
    shown = monitor("drift", "status", "--json").json
    assert set(shown) == {"false_alarm_every", "judged_until", "signals"}
    keys = {"scope", "signal", "learned", "alarmed", "cause", "psi", "psi_by_chance"}
    assert all(set(row) == keys for row in shown["signals"])


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_monitor_that_refuses_is_an_error_in_one_line(headrace, monkeypatch, status) -> None:
    with answering({"/drift": (status, "{}")}) as port:
        monkeypatch.setenv("HEADRACE_MONITOR__PORT", str(port))
        done = headrace("drift", "status")
    assert done.code == 1
    assert done.error == f"the monitor at http://127.0.0.1:{port} answers {status}"


def test_a_monitor_that_is_not_there_is_an_error_in_one_line(headrace, monkeypatch) -> None:
    monkeypatch.setenv("HEADRACE_MONITOR__PORT", str(free_port()))
    done = headrace("drift", "status")
    assert (done.code, done.out) == (1, "")
    assert done.error.startswith("no monitor worker answers at")
