"""The rows of `headrace bench drift`: false alarms beside those stated, delays, what was taken for what."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.lab.benchmarks.drift import (
    UNTOUCHED,
    Delay,
    Watched,
    delays,
    false_alarms,
    poisson_interval,
    touched,
)
from services.lab.benchmarks.drifting_shop import SCENARIOS
from services.monitor.drift.domain.cause import AlarmVerdict
from services.monitor.drift.domain.detector_group import Alarm
from services.monitor.drift.domain.rules import DriftRule
from services.monitor.drift.domain.signals import SHOP_SIGNALS, SIGNALS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
RULE = DriftRule(false_alarm_every=timedelta(days=10))


def alarm(signal: str = "nearest", *, cause: str = "drift", terms: tuple[str, ...] = ()) -> Alarm:
    return Alarm(
        signal=signal,
        window=5,
        began=NOON,
        verdict=AlarmVerdict(shape="slope", since=NOON, cause=cause),
        direction="up",
        surprise=5.0,
        shown=1.0,
        usual=0.5,
        evidence={"terms": terms} if terms else {},
    )


def delay(
    name: str, windows: int = 0, *, signal: str = "nearest", at_first: str = "", later: str = "", **kw
) -> Delay:
    if not windows:
        return Delay(BY_NAME[name])
    return Delay(BY_NAME[name], windows, 100 * windows, alarm(signal, **kw), at_first, later)


def rows(*measured: Delay):
    return {row.name: row for row in delays(measured)}


def test_false_alarms_are_held_against_those_stated_in_as_many_days() -> None:
    shops = [Watched({"nearest": 3, "click-rate": 1}, 2400), Watched({"nearest": 2}, 2400)]
    table = {row.name: row for row in false_alarms(shops, RULE)}
    assert table["false alarms"].value == 6
    assert table["false alarms"].bound == pytest.approx(4800 / RULE.windows)
    assert table["false alarms"].bound == pytest.approx(20)
    assert table["false alarms, nearest"].value == 5
    assert table["false alarms, nearest"].bound == pytest.approx(20 / len(SIGNALS))
    assert len(table) == 1 + len(SIGNALS)


def test_the_stated_alarms_of_all_signals_add_up_to_those_of_the_monitor() -> None:
    whole, *single = false_alarms([Watched({}, 24 * 365)], RULE)
    assert sum(row.bound or 0 for row in single) == pytest.approx(whole.bound)
    assert whole.value == 0


@given(st.integers(0, 400))
def test_the_interval_of_a_count_has_each_mean_for_which_it_is_not_unlikely(count: int) -> None:
    low, high = poisson_interval(count)
    assert low <= count <= high
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025, abs=1e-6)
    assert low == 0 if not count else stats.poisson.sf(count - 1, low) == pytest.approx(0.025, abs=1e-6)


def test_a_scenario_says_in_how_many_runs_it_was_found_and_how_soon() -> None:
    table = rows(
        delay("renamed brand", 10, signal="new-terms", terms=("zentoro", "shoe")),
        delay("renamed brand", 30, signal="new-terms", terms=("zentoro",)),
        delay("renamed brand"),
    )
    found = table["found, renamed brand"]
    assert (found.value, found.bound) == (2, 3)
    assert found.note == "first by new-terms 2; terms: zentoro, shoe"
    assert table["delay, renamed brand"].value == 20
    assert table["delay in queries, renamed brand"].value == 2000


def test_a_scenario_that_was_never_found_has_no_delay() -> None:
    table = rows(delay("campaign"))
    assert (table["found, campaign"].value, table["found, campaign"].bound) == (0, 1)
    assert "delay, campaign" not in table


def test_a_scenario_that_was_not_run_has_no_row() -> None:
    assert not [name for name in rows(delay("campaign", 3)) if "truncated titles" in name]


def test_the_confusion_counts_what_each_kind_was_taken_for_in_the_end() -> None:
    table = rows(
        delay("truncated titles", 2, at_first="unknown", later="bug"),
        delay("broken encoder: flat", 2, at_first="bug", later="bug"),
        delay("query language", 13, at_first="unknown", later="drift"),
        delay("query language"),
    )
    assert (table["bug told as bug"].value, table["bug told as bug"].bound) == (2, 2)
    assert table["bug told as bug"].note == "by the first alarm alone: 1"
    assert (table["drift told as drift"].value, table["drift told as drift"].bound) == (1, 1)
    assert (table["drift told as bug"].value, table["unknown told as bug"].bound) == (0, None)


def test_the_names_that_must_stay_are_there() -> None:
    assert false_alarms([Watched({}, 240)], RULE)[0].name == "false alarms"


@pytest.mark.parametrize("signal", sorted(UNTOUCHED))
def test_an_alarm_of_a_signal_that_a_drift_does_not_touch_is_a_false_one(signal: str) -> None:
    assert not touched(BY_NAME["query language"], signal)
    assert touched(BY_NAME["truncated titles"], signal), "a bug may touch everything"


def test_new_terms_are_touched_by_every_drift() -> None:
    assert "new-terms" in SHOP_SIGNALS
    assert touched(BY_NAME["renamed brand"], "new-terms")
