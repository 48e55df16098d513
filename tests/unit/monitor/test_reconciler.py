"""Topic and store of alerts in agreement, whichever of the two lost something."""

import pytest

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.open_alerts import orphans
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.alerts.reconciler import OpenAlertReconciler, open_now
from services.monitor.alerts.store import open_alerts
from tests.unit.monitor.conftest import NOW, Generations, MemoryAlerts

AT_ONCE = AlertPolicy(fire_after=1, resolve_after=1)


class Store(MemoryAlerts):
    """The store with what the reconciler asks of it beside the steps; notes the order of the calls."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.calls: list[str] = []
        self.adopted: list[str] = []
        self.lost: list[str] = []

    async def publish(self, *, epoch: int) -> None:
        self.calls.append("publish")

    async def orphans(self, on_topic) -> list[Alert]:
        self.calls.append("orphans")
        return orphans(open_alerts(on_topic), self.by_key)

    async def adopt(self, alerts, *, epoch: int) -> None:
        self.adopted += [alert.alert_key for alert in alerts]

    async def repair(self, on_topic, *, epoch: int) -> list[str]:
        self.calls.append("repair")
        return self.lost


class Topic:
    def __init__(self, *alerts: Alert) -> None:
        self.items = {alert.key(): alert.encode() for alert in alerts}


def alert(key: str = "freshness:g1", severity: str = "warning", **changes: object) -> Alert:
    return Alert.model_validate(
        {
            "alert_key": key,
            "status": "firing",
            "severity": severity,
            "summary": "s",
            "cause": "unknown",
            "action": "a",
            "started_at": NOW,
            "updated_at": NOW,
            **changes,
        }
    )


@pytest.fixture
def store(clock) -> Store:
    return Store(clock)


def reconciler(store: Store, *alerts: Alert, live: tuple[str, ...] = ("g1",)) -> OpenAlertReconciler:
    return OpenAlertReconciler(Topic(*alerts), store, Generations(names=list(live)))


async def test_what_redis_lost_is_adopted_at_the_second_tick_since_the_topic_may_be_ahead(store):
    ticking = reconciler(store, alert())
    await ticking.tick(1)
    assert store.adopted == []
    await ticking.tick(1)
    assert store.adopted == ["freshness:g1"]


async def test_what_was_in_the_store_after_all_is_no_orphan(store):
    ticking = reconciler(store, alert())
    await ticking.tick(1)
    await store.observe([_breach("freshness:g1")], policy=AT_ONCE, epoch=1)
    await ticking.tick(1)
    assert store.adopted == []


async def test_what_a_person_must_close_is_nobodys_orphan(store):
    ticking = reconciler(store, alert(resolution="manual"))
    for _ in range(3):
        await ticking.tick(1)
    assert store.adopted == []


@pytest.mark.parametrize("key", ["trial:g2", "paused:search:kafka"])
async def test_what_another_worker_ends_is_no_orphan(store, key):
    """It was adopted, and said to be firing again, for ever, once that worker had ended it."""
    ticking = reconciler(store, alert(key, "info", generation="g1"))
    for _ in range(3):
        await ticking.tick(1)
    assert store.adopted == []


async def test_an_outbox_that_a_kill_left_is_published_before_anything_is_compared(store):
    await reconciler(store).tick(1)
    assert store.calls == ["publish", "orphans", "repair"]


async def test_alerts_on_a_generation_that_is_gone_are_closed(store):
    await store.observe([_breach("freshness:g1"), _breach("freshness:g2", "g2")], policy=AT_ONCE, epoch=1)
    await reconciler(store).tick(1)
    assert store.turns()[2:] == [("freshness:g2", "resolved")]
    assert set(store.by_key) == {"freshness:g1"}


async def test_the_gauge_counts_what_is_open_by_severity(store):
    closed = alert("d", "critical", status="resolved")
    await reconciler(store, alert("a", "critical"), alert("b"), alert("c"), closed).tick(1)
    counts = {
        severity: open_now.labels(severity)._value.get() for severity in ("info", "warning", "critical")
    }
    assert counts == {"info": 0, "warning": 2, "critical": 1}


async def test_open_alerts_come_most_severe_first_and_what_can_not_be_read_is_left_out(store):
    ticking = reconciler(store, alert("a", "info"), alert("b", "critical"), alert("c"))
    ticking._topic.items[b"broken"] = b"{"
    assert [open_.alert_key for open_ in ticking.open()] == ["b", "c", "a"]


def _breach(key: str, generation: str = "g1") -> Observation:
    return Observation(key=key, breached=True, summary="s", action="a", generation=generation)
