"""The watch over drift: in which order a window is judged, kept, removed and said, and what a kill leaves."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
import structlog

from schemas.control import TrainingJob
from services.monitor.drift.domain.cause import AlarmVerdict
from services.monitor.drift.domain.detector_group import Alarm
from services.monitor.drift.domain.findings import ACTIONS, advice, job, key_of, observations
from services.monitor.drift.domain.population import Stability
from services.monitor.drift.domain.state_machine import SHOP
from services.monitor.drift.domain.tally import WindowTally
from services.monitor.drift.settings import DriftSettings
from services.monitor.drift.watch import BEHIND, TOPICS, DriftDependencies, DriftWatch
from shared.errors import FencedError, TransientError
from shared.testing.publisher import MemoryPublisher
from tests.unit.monitor.conftest import NOW, Generations, MemoryAlerts, Registry, reader

MINUTE = timedelta(minutes=1)
SETTINGS = DriftSettings(
    window=MINUTE,
    season="none",
    memory=20,
    learn=30,
    remember=200,
    false_alarm_every=timedelta(days=10),
    grace=timedelta(seconds=5),
    retrain=True,
)
RATE = "drift:shop:zero-results"


class Keeper:
    """The tallies of windows that were not judged yet."""

    def __init__(self) -> None:
        self.tallies: dict[int, dict[str, WindowTally]] = {}
        self.dropped: list[int] = []

    async def windows(self, partitions: Iterable[object]) -> dict[int, dict[str, WindowTally]]:
        assert len(list(partitions)) == len(TOPICS)
        return {number: dict(window) for number, window in self.tallies.items()}

    async def drop(self, _: Iterable[object], *, upto: int) -> None:
        self.dropped.append(upto)
        self.tallies = {number: window for number, window in self.tallies.items() if number > upto}


class Store:
    """The memory; `failure`, when set, is what writing it meets."""

    def __init__(self) -> None:
        self.memories: dict[str, bytes] = {}
        self.failure: Exception | None = None
        self.loads = 0

    async def load(self) -> dict[str, bytes]:
        self.loads += 1
        return dict(self.memories)

    async def store(self, memories: Mapping[str, bytes], *, epoch: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.memories = dict(memories)


class Probes:
    """What the monitor measures itself."""

    def __init__(self) -> None:
        self.measured: list[str] = []
        self.fields: frozenset[str] = frozenset()
        self.running: frozenset[str] = frozenset({"search, 1"})

    async def measure(self, generation: str, _: WindowTally) -> tuple[WindowTally, frozenset[str]]:
        self.measured.append(generation)
        return WindowTally(counts={"probed": 100, "recalled": 99}), self.fields

    async def processes(self, _: str) -> frozenset[str]:
        return self.running


class Shop:
    """A monitor, its parts, and a minute of traffic after the other."""

    def __init__(self, alerts: MemoryAlerts, clock) -> None:
        self.alerts, self.clock = alerts, clock
        self.keeper, self.store, self.probes = Keeper(), Store(), Probes()
        self.publisher, self.generations = MemoryPublisher(), Generations()
        self.readers = Registry([reader(0, topic) for topic in TOPICS])
        self.watch = self.restart()

    def restart(self, settings: DriftSettings = SETTINGS) -> DriftWatch:
        dependencies = DriftDependencies(
            keeper=self.keeper,
            readers=self.readers,
            store=self.store,
            probes=self.probes,
            generations=self.generations,
            alerts=self.alerts,
            publisher=self.publisher,
            clock=self.clock,
        )
        self.watch = DriftWatch(settings, dependencies, partitions=lambda: dict.fromkeys(TOPICS, 1))
        return self.watch

    @property
    def number(self) -> int:
        return SETTINGS.rule.number(self.clock.now())

    def traffic(self, empty: int = 10) -> None:
        self.keeper.tallies[self.number] = {"g1": WindowTally(counts={"answers": 200, "empty": empty})}

    async def minutes(self, count: int, empty: int = 10) -> None:
        for minute in range(count):
            self.traffic(empty + minute % 3)  # a little noise: constant rates would never differ
            self.clock.forward(minutes=1)
            await self.watch.tick(1)


@pytest.fixture
def shop(alerts, clock) -> Shop:
    clock.forward(seconds=10)
    return Shop(alerts, clock)


async def broken(shop: Shop) -> Shop:
    """Learn for an hour, then let most searches find nothing."""
    await shop.minutes(60)
    await shop.minutes(4, empty=120)
    return shop


async def test_a_window_is_judged_kept_and_removed_when_it_is_over(shop):
    shop.clock.forward(seconds=10)  # the first look waits for the announcements of readers
    shop.traffic()
    number = shop.number
    shop.clock.forward(seconds=44)
    await shop.watch.tick(1)
    assert shop.keeper.dropped == [number - 1], "the window before is over, this one has its grace"
    shop.clock.forward(seconds=1)
    await shop.watch.tick(1)
    assert shop.keeper.dropped == [number - 1, number]
    assert shop.keeper.tallies == {}
    assert b'"closed":%d' % number in shop.store.memories["seen"]


async def test_a_monitor_that_has_just_begun_judges_nothing(shop):
    shop.traffic()
    shop.clock.forward(minutes=1)
    shop.restart()
    shop.clock.forward(seconds=4)
    await shop.watch.tick(1)
    assert shop.keeper.dropped == []
    shop.clock.forward(seconds=1)
    await shop.watch.tick(1)
    assert len(shop.keeper.dropped) == 1


@pytest.mark.parametrize(
    "late",
    [
        [],
        [reader(0, TOPICS[0])],
        [reader(0, TOPICS[0]), reader(0, TOPICS[1], next_offset=None)],
        [reader(0, TOPICS[0]), reader(0, TOPICS[1], end_offset=100 + BEHIND + 1)],
    ],
    ids=["nobody reads", "one topic is not read", "one is taken over", "one is far behind"],
)
async def test_while_a_reader_is_behind_no_window_is_over(shop, late):
    shop.readers.announced = late
    await shop.minutes(3)
    assert shop.keeper.dropped == []
    assert len(shop.keeper.tallies) == 3
    shop.readers.announced = [reader(0, topic, end_offset=100 + BEHIND) for topic in TOPICS]
    await shop.watch.tick(1)
    assert shop.keeper.tallies == {}, "all of them, in order"


async def test_only_the_newest_window_has_what_can_be_measured_now(shop):
    shop.readers.announced = []
    await shop.minutes(3)
    shop.readers.announced = [reader(0, topic) for topic in TOPICS]
    await shop.watch.tick(1)
    assert shop.probes.measured == ["g1"]


async def test_a_rate_that_breaks_is_said_and_its_end_too(shop):
    await shop.minutes(60)
    assert shop.alerts.turns() == []
    await shop.minutes(4, empty=120)
    assert (RATE, "firing") in shop.alerts.turns()
    await shop.minutes(60)
    assert (RATE, "resolved") in shop.alerts.turns()


async def test_a_kill_before_the_memory_is_kept_judges_the_window_again(shop):
    await shop.minutes(60)
    shop.store.failure = TransientError("Redis is away")
    shop.traffic(empty=150)
    shop.clock.forward(minutes=1)
    with pytest.raises(TransientError):
        await shop.watch.tick(1)
    assert len(shop.keeper.tallies) == 1, "it is still there"
    shop.store.failure = None
    memories = dict(shop.store.memories)
    shop.restart()
    shop.clock.forward(seconds=5)
    await shop.watch.tick(1)
    assert shop.keeper.tallies == {}
    assert shop.store.memories["seen"] != memories["seen"]


async def test_a_kill_after_it_was_kept_judges_it_no_more(shop):
    await shop.minutes(60)
    memories, number = dict(shop.store.memories), shop.number - 1
    shop.keeper.tallies[number] = {"g1": WindowTally(counts={"answers": 200, "empty": 200})}
    shop.restart()
    shop.clock.forward(seconds=5)
    await shop.watch.tick(1)
    assert shop.store.memories == memories


async def test_an_alarm_is_said_again_after_a_restart_that_came_before_the_alert(shop):
    await broken(shop)
    shop.alerts.by_key.clear()  # as if it had been killed in between
    shop.alerts.published.clear()
    shop.restart()
    await shop.watch.tick(1)
    assert (RATE, "firing") in shop.alerts.turns()


async def test_a_new_leader_goes_on_with_what_the_one_before_kept(shop):
    await shop.minutes(3)
    assert shop.store.loads == 1
    await shop.watch.tick(1)
    assert shop.store.loads == 1
    await shop.watch.tick(2)
    assert shop.store.loads == 2


async def test_a_deposed_leader_says_nothing(shop):
    await shop.minutes(60)
    shop.store.failure = FencedError("epoch 2 leads")
    shop.traffic(empty=200)
    shop.clock.forward(minutes=1)
    published = list(shop.alerts.published)
    with pytest.raises(FencedError):
        await shop.watch.tick(1)
    assert shop.alerts.published == published


async def test_a_process_that_starts_with_the_step_makes_it_a_bug(shop):
    await shop.minutes(60)
    shop.probes.running = frozenset({"search, 2"})
    await shop.minutes(4, empty=120)
    alert = next(alert for alert in shop.alerts.published if alert.alert_key == RATE)
    assert alert.cause == "bug"
    assert alert.action == "look at what came with it: search, 2 was started"
    assert shop.publisher.messages == [], "a bug is no reason to train"


async def test_a_field_that_appears_is_a_change_but_not_the_first_ones(shop):
    shop.probes.fields = frozenset({"title"})
    await shop.minutes(2)
    shop.probes.fields = frozenset({"title", "colour"})
    await shop.minutes(2)
    changes = shop.watch._machine.history.changes
    assert [change.what for change in changes] == ["the field colour appeared in products"]


async def test_a_generation_that_is_gone_is_forgotten(shop):
    await shop.minutes(3)
    assert set(shop.watch._machine.groups) == {SHOP, "g1"}
    shop.generations.names = []
    shop.clock.forward(minutes=1)
    await shop.watch.tick(1)
    assert set(shop.watch._machine.groups) == {SHOP}


async def test_settings_that_do_not_fit_the_memory_are_said_and_learned_anew(shop):
    await shop.minutes(40)
    shop.restart(SETTINGS.model_copy(update={"season": "day"}))
    with structlog.testing.capture_logs() as logged:
        await shop.watch.tick(1)
    [event] = [event for event in logged if event["event"] == "drift.learned_anew"]
    assert "shop:zero-results" in event["signals"]


async def test_the_page_says_how_far_each_signal_has_learned(shop):
    await shop.minutes(20)
    page = shop.watch.status()
    assert page["false_alarm_every"] == timedelta(days=10).total_seconds()
    until = datetime.fromisoformat(page["judged_until"])
    assert timedelta(0) <= shop.clock.now() - until < MINUTE
    rows = {(row["scope"], row["signal"]): row for row in page["signals"]}
    assert 0 < rows["shop", "zero-results"]["learned"] < 1
    assert rows["shop", "click-rate"]["learned"] == 0
    assert [row["scope"] for row in page["signals"]] == sorted(row["scope"] for row in page["signals"])


# What an alarm says


def alarm(signal: str = "click-rate", cause: str = "drift", **changes: object) -> Alarm:
    verdict = AlarmVerdict(
        shape="slope" if cause == "drift" else "step",
        since=NOW - timedelta(hours=5),
        cause=cause,
        change="search was deployed" if cause == "bug" else "",
    )
    values = {
        "signal": signal,
        "window": 7,
        "began": NOW,
        "verdict": verdict,
        "direction": "down",
        "surprise": -4.123,
        "shown": 0.05,
        "usual": 0.1,
    }
    return Alarm.model_validate({**values, **changes})


class Group:
    """A group of detectors with these alarms."""

    def __init__(self, *alarms: Alarm, name: str = SHOP) -> None:
        self.name = name
        self.alarms = {alarm.signal: alarm for alarm in alarms}
        self.detectors: Sequence[str] = ("click-rate", "cart-rate", "query-embeddings")


def test_an_alarm_is_put_into_words_with_its_figures():
    [seen] = observations(Group(alarm(evidence={"queries": ("red shoe",)})), firing=())
    assert seen.summary == (
        "clicks a product shown: 0.05, usually 0.1 at this hour; down bit by bit since 2026-11-21 07:00 UTC"
    )
    assert (seen.key, seen.severity, seen.cause) == ("drift:shop:click-rate", "warning", "drift")
    assert seen.action == ACTIONS["retrain"]
    assert seen.evidence["deviations"] == -4.12
    assert seen.evidence["queries"] == ("red shoe",)
    assert "psi" not in seen.evidence
    assert seen.generation is None


def test_a_bug_names_what_came_with_it_and_is_critical():
    [seen] = observations(Group(alarm(cause="bug"), name="g1"), firing=())
    assert (seen.severity, seen.generation) == ("critical", "g1")
    assert seen.action == "look at what came with it: search was deployed"
    assert "all at once" in seen.summary
    assert seen.evidence["change"] == "search was deployed"


def test_a_stability_index_stands_beside_the_alarm():
    [seen] = observations(Group(alarm(stability=Stability(psi=0.31234567, by_chance=0.02))), firing=())
    assert (seen.evidence["psi"], seen.evidence["psi_by_chance"]) == (0.3123, 0.02)


def test_an_alert_whose_alarm_is_over_is_closed_and_those_of_others_are_not_touched():
    firing = {key_of(SHOP, "cart-rate"), key_of("g1", "cart-rate"), "freshness:g1"}
    seen = {one.key: one.breached for one in observations(Group(alarm()), firing)}
    assert seen == {"drift:shop:cart-rate": False, "drift:shop:click-rate": True}


@pytest.mark.parametrize(
    ("signal", "cause", "helps"),
    [
        ("click-rate", "drift", "retrain"),
        ("ann-recall", "drift", "re-index"),
        ("zero-results", "drift", "look"),
        ("click-rate", "bug", "look"),
        ("click-rate", "unknown", "look"),
    ],
)
def test_only_drift_is_trained_against(signal, cause, helps):
    assert advice(alarm(signal, cause)) == helps


def test_the_job_of_an_alarm_is_the_same_to_the_byte_whenever_it_is_asked_for():
    asked = job(Group(alarm()), alarm())
    assert asked.encode() == job(Group(alarm()), alarm()).encode()
    assert asked.job_id == "drift-shop-click-rate-7"
    assert job(Group(name="g1"), alarm()).job_id != asked.job_id


async def test_a_job_is_asked_for_once_an_alarm_and_again_with_its_id_after_a_kill(shop):
    await shop.minutes(2)
    group = shop.watch._machine.groups[SHOP]
    group.alarms["click-rate"] = alarm()
    shop.store.failure = TransientError("Redis is away")
    with pytest.raises(TransientError):
        await shop.watch.tick(1)
    shop.store.failure = None
    shop.watch._machine.history.requested.clear()  # killed before it was noted
    for _ in range(3):
        await shop.watch.tick(1)
    jobs = [TrainingJob.decode(sent.value) for sent in shop.publisher.of(TrainingJob.topic)]
    assert [training.job_id for training in jobs] == ["drift-shop-click-rate-7"] * 2


async def test_without_retrain_no_job_is_asked_for(shop):
    shop.restart(SETTINGS.model_copy(update={"retrain": False}))
    await shop.minutes(2)
    shop.watch._machine.groups[SHOP].alarms["click-rate"] = alarm()
    await shop.watch.tick(1)
    assert shop.publisher.messages == []
