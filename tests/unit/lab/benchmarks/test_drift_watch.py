"""`headrace bench drift` on a small world: a shop is watched, then broken, and the alarms are timed."""

from datetime import timedelta

import pytest

from services.lab.benchmarks import drift
from services.lab.benchmarks.drift import (
    Delay,
    Watched,
    _alarms,
    _commonest_cause,
    _delay,
    _deployments,
    _watched,
)
from services.lab.benchmarks.drifting_shop import GENERATION, SCENARIOS, WEEK, Shop
from services.monitor.drift.domain.rules import DetectorRule, DriftRule
from services.monitor.drift.domain.state_machine import DriftStateMachine

RULE = DriftRule(false_alarm_every=timedelta(days=10))


@pytest.fixture
def pool(world, monkeypatch):
    drift._fill_pool(world, RULE)
    monkeypatch.setattr(drift, "WARM_WEEKS", 0)
    monkeypatch.setattr(drift, "PATIENCE", 3)
    yield
    drift._pool.world = None


def test_a_shop_is_watched_for_as_long_as_was_asked(pool) -> None:
    watched = _watched(1, 5, broken=False)
    assert (watched.windows, watched.delays) == (5, [])
    assert set(watched.alarms) <= set(drift.SIGNALS)


def test_a_shop_is_broken_in_every_way(pool) -> None:
    watched = _watched(1, 2, broken=True)
    assert [delay.scenario for delay in watched.delays] == [*SCENARIOS]
    assert all(isinstance(delay, Delay) for delay in watched.delays)


def test_the_same_seed_watches_the_same_shop(pool) -> None:
    assert _watched(2, 4, broken=False) == _watched(2, 4, broken=False) != _watched(3, 4, broken=True)


def test_a_process_without_a_world_says_so() -> None:
    with pytest.raises(RuntimeError, match="no world"):
        _watched(1, 1, broken=False)


def test_a_monitor_that_has_not_learned_raises_no_alarm(pool, world) -> None:
    memory = DriftStateMachine(RULE, DetectorRule()).dump()
    delay = _delay(memory, Shop(world, 1), drift.FIRST, SCENARIOS[0], drift.np.random.default_rng(1))
    assert (delay.windows, delay.alarm, delay.later) == (0, None, "")


def test_without_alarms_there_is_no_cause(world) -> None:
    machine = DriftStateMachine(RULE, DetectorRule())
    tally, _ = Shop(world, 1).tally(drift.FIRST)
    machine.close(drift.FIRST, {GENERATION: tally})
    assert list(_alarms(machine, SCENARIOS[0])) == []
    assert _commonest_cause(machine, SCENARIOS[0]) == ""


def test_deployments_come_now_and_then_and_with_a_bug_surely() -> None:
    rng = drift.np.random.default_rng(1)
    happened = [bool(_deployments(RULE, drift.FIRST + n, rng)) for n in range(10 * WEEK)]
    assert sum(happened) == pytest.approx(10 * WEEK / drift.DEPLOYMENTS_EVERY, rel=0.5)
    [deployed] = _deployments(RULE, drift.FIRST, rng, surely=True)
    assert (deployed.what, deployed.at) == (drift.DEPLOYED, RULE.at(drift.FIRST).start)


def test_at_least_one_process_watches() -> None:
    assert drift.cores() >= 1
    assert Watched({}, 0).delays == ()
