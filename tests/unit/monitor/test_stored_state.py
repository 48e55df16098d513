"""What a monitor of commit 435fb32 left in Redis is taken over: no name of what is stored has changed."""

import gzip
import json
from base64 import b64decode
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.state import AlertPolicy, AlertState, step
from services.monitor.canaries.domain.verdict import Memory, Result
from services.monitor.drift.domain.findings import observations
from services.monitor.drift.domain.rules import DetectorRule, DriftRule
from services.monitor.drift.domain.state_machine import SHOP, DriftStateMachine
from services.monitor.drift.domain.tally import AnsweredQuery, WindowTally, tally_queries
from tests.unit.monitor.conftest import NOW

FILE = Path(__file__).parent / "stored" / "state-435fb32.json.gz"
STORED = json.loads(gzip.decompress(FILE.read_bytes()))
DRIFT = {name: b64decode(memory) for name, memory in STORED["drift"].items()}
FIRST = 480_000
"""The first window that the old monitor judged; it judged fifty."""
RULE = DriftRule(false_alarm_every=timedelta(days=20), learn_words=timedelta(hours=5))
DETECTOR_RULE = DetectorRule(season="none", learn=20, remember=60, memory=10)


@pytest.fixture
def machine() -> DriftStateMachine:
    machine = DriftStateMachine(RULE, DETECTOR_RULE)
    assert machine.load(DRIFT) == [], "no signal begins anew"
    return machine


def test_drift_goes_on_with_what_was_learned(machine):
    assert machine.history.closed == FIRST + 49
    assert machine.history.fingerprints == {"g1": "1" * 16}
    assert machine.history.known == {"processes g1": ["search, 1.0", "search, 2.0"]}
    detectors = machine.groups[SHOP].detectors
    armed = {"click-rate", "cart-rate", "purchase-rate", "zero-results"}
    assert {signal for signal, detector in detectors.items() if detector.armed} == armed
    assert machine.words.unknown(["red", "neu", "zentoro"], FIRST + 50) == 1


def test_an_alarm_that_was_open_is_open_with_its_evidence(machine):
    group = machine.groups["g1"]
    assert {"weak-answers", "scores-median", "nearest"} <= set(group.alarms)
    alarm = group.alarms["scores-median"]
    assert (alarm.direction, alarm.verdict.shape) == ("down", "step")
    assert alarm.evidence["queries"]
    said = {seen.key: seen for seen in observations(group, set())}
    assert said["drift:g1:scores-median"].breached


def test_a_window_that_was_judged_is_not_judged_again_and_the_next_one_is(machine):
    tally = WindowTally(counts={"shown": 800, "click": 400})
    before = machine.dump()
    assert machine.close(FIRST + 49, {"g1": tally}) == []
    assert machine.dump() == before
    onsets = [onset for number in range(50, 54) for onset in machine.close(FIRST + number, {"": tally})]
    assert [onset.alarm.signal for onset in onsets] == ["click-rate"], "half of all clicked: armed at once"


def test_what_is_stored_again_has_the_same_names(machine):
    again = machine.dump()
    assert again.keys() == DRIFT.keys()
    for name, memory in again.items():
        if memory.startswith(b"{"):
            assert json.loads(memory).keys() == json.loads(DRIFT[name]).keys()
    reread = DriftStateMachine(RULE, DETECTOR_RULE)
    assert reread.load(again) == []
    assert reread.dump().keys() == again.keys()


def test_a_memory_that_does_not_fit_begins_anew_and_is_named():
    daily = DriftStateMachine(RULE, DetectorRule(season="day"))
    unfit = daily.load(DRIFT)
    assert {"shop:click-rate", "g1:scores-median"} <= set(unfit)
    assert daily.groups["g1"].alarms == {}, "an alarm without its detector would never end"


@pytest.mark.parametrize("cut", [0, 3, 4, 100, 2000, -1])
def test_a_memory_that_is_cut_short_begins_anew_and_the_others_go_on(cut):
    machine = DriftStateMachine(RULE, DETECTOR_RULE)
    broken = {**DRIFT, "panel:shop:click-rate": DRIFT["panel:shop:click-rate"][:cut]}
    assert machine.load(broken) == ["shop:click-rate"]
    assert not machine.groups[SHOP].detectors["click-rate"].armed
    assert machine.groups[SHOP].detectors["zero-results"].armed


def test_a_window_that_was_half_tallied_is_tallied_on():
    [stored] = STORED["tallies"].values()
    tally = WindowTally.model_validate_json(stored)
    assert (tally.count("answers"), tally.count("vectors")) == (20, 20)
    row = np.eye(1, 8, dtype=np.float32)[0]
    whole = tally + tally_queries([AnsweredQuery("red shoe", 1, (0.5,), row, "1" * 16)], threshold=0.5)
    assert (whole.count("answers"), whole.count("scored")) == (21, 21)
    assert whole.fingerprints == {"1" * 16}


def test_an_alert_goes_on_where_it_was():
    firing = AlertState.model_validate_json(STORED["alerts"]["canary-recall:g1:shoe"])
    assert (firing.firing, firing.streak, firing.signature) == (True, 1, "1/2")
    healthy = Observation(key="canary-recall:g1:shoe", breached=False, summary="s", action="a")
    after, alert = step(firing, healthy, now=NOW + timedelta(minutes=5), policy=AlertPolicy())
    assert alert is not None
    assert (alert.status, after.firing) == ("resolved", False), "the second healthy look in a row"
    begun = AlertState.model_validate_json(STORED["alerts"]["freshness:g1"])
    assert (begun.firing, begun.streak, begun.since) == (False, 1, NOW)


def test_a_canary_is_judged_by_the_past_it_had():
    memory = Memory.model_validate_json(STORED["canary memory"]["shoe"])
    assert (memory.recall.reference, memory.before, memory.breaches, memory.cause) == (1.0, 1.0, 2, "bug")
    result = Result.model_validate_json(STORED["canary results"]["shoe"])
    assert (result.recall, result.breached, result.missing) == (0.5, True, ("p1",))
