"""The monitor is six features: each wires itself, and the application runs what it is given."""

import pytest
from redis.asyncio import Redis

from services.monitor.app import build
from services.monitor.dependencies import MonitorDependencies
from services.monitor.drift.wiring import wire as wire_drift
from services.monitor.settings import Settings
from shared.process.periodic import Every
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop
from shared.testing.publisher import MemoryPublisher
from tests.unit.monitor.conftest import Generations


@pytest.fixture
def worker(tmp_path):
    return build(Settings(data_dir=tmp_path))


def components(worker) -> list:
    return worker._components._components


def test_the_pages_are_there(worker):
    assert {"/alerts", "/canaries", "/drift"} <= worker.api.openapi()["paths"].keys()


def test_the_command_is_taken(worker):
    assert "canaries.run" in worker.commands._handlers


def test_every_watch_ticks_by_itself(worker):
    watches = {
        component._name: component._period for component in components(worker) if isinstance(component, Every)
    }
    sections = Settings().monitor
    assert watches.keys() == {
        f"watch {name}"
        for name in (
            "alerts",
            "canaries",
            "shards",
            "readers",
            "forwarding",
            "older",
            "answers",
            "drift",
            "negatives",
        )
    }
    assert watches["watch drift"] == sections.drift.every
    assert watches["watch answers"] == sections.answers.every
    assert watches["watch shards"] == watches["watch readers"] == sections.freshness.every


def test_two_loops_read_and_one_of_them_announces_itself(worker):
    """What is behind is not yet over: the drift watch must see how far its readers are."""
    loops = [component for component in components(worker) if isinstance(component, PartitionLoop)]
    beating = [component for component in components(worker) if isinstance(component, ReaderHeartbeat)]
    assert len(loops) == 2
    assert len(beating) == 1


def test_watches_tick_only_when_everything_they_ask_has_started(worker):
    """Parts start in the order added, and stop in reverse: a watch stops first."""
    kinds = [isinstance(component, Every) for component in components(worker)]
    assert kinds == sorted(kinds)


async def test_a_monitor_that_does_not_lead_does_nothing(worker):
    [watch] = [
        component
        for component in components(worker)
        if isinstance(component, Every) and component._name == "watch drift"
    ]
    await watch._action()  # no lease: neither Redis nor broker is asked


async def test_the_page_of_drift_answers_before_anything_was_judged(clock, alerts):
    dependencies = MonitorDependencies(
        redis=Redis(),
        publisher=MemoryPublisher(),
        search=None,
        generations=Generations(),
        alerts=alerts,
        clock=clock,
    )
    feature = wire_drift(Settings(), Settings().monitor.drift, dependencies)
    page = await feature.pages["/drift"]()
    assert {row["scope"] for row in page["signals"]} == {"shop"}
    assert all(row["learned"] == 0 for row in page["signals"])
