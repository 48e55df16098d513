"""The watches over shards and readers: announcements of every generation, and the grace at first."""

from datetime import timedelta

import pytest

from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.domain.shards import FreshnessObjective
from services.monitor.freshness.readers import ReaderWatch
from services.monitor.freshness.settings import FreshnessSettings
from services.monitor.freshness.shards import ShardWatch, shards_ready
from services.monitor.freshness.wiring import wire
from shared.settings import Settings
from tests.unit.monitor.conftest import Registry, owner, reader

AT_ONCE = AlertPolicy(fire_after=1, resolve_after=1)
SECTION = FreshnessSettings(alerts=AT_ONCE, objective=FreshnessObjective(lag=10))
NO_GRACE = timedelta(0)


@pytest.fixture
def dependencies(alerts, clock, generations) -> MonitorDependencies:
    return MonitorDependencies(
        redis=None, publisher=None, search=None, generations=generations, alerts=alerts, clock=clock
    )


@pytest.fixture
def shards(dependencies, generations) -> ShardWatch:
    generations.registry("g1").announced = [owner(0), owner(1)]
    return ShardWatch(SECTION, dependencies, partitions=2, grace=NO_GRACE)


async def test_shards_that_are_served_and_fresh_are_no_news(shards, alerts):
    await shards.tick(1)
    assert alerts.turns() == []
    assert shards_ready.labels("g1")._value.get() == 2


async def test_a_shard_that_nobody_serves_is_an_alert_until_somebody_does(shards, alerts, generations):
    generations.registry("g1").announced = [owner(0)]
    await shards.tick(1)
    assert alerts.turns() == [("shard-missing:g1-1", "firing")]
    assert shards_ready.labels("g1")._value.get() == 1
    generations.registry("g1").announced = [owner(0), owner(1)]
    await shards.tick(1)
    assert alerts.turns()[-1] == ("shard-missing:g1-1", "resolved")


async def test_of_two_owners_of_a_shard_one_that_is_ready_is_enough(shards, alerts, generations):
    loading = owner(1, instance="t", ready=False, next_offset=0)
    generations.registry("g1").announced = [owner(0), owner(1), loading]
    await shards.tick(1)
    assert alerts.turns() == []
    assert shards_ready.labels("g1")._value.get() == 2, "shards, not owners"


async def test_a_shard_that_lags_is_an_alert(shards, alerts, generations):
    generations.registry("g1").announced = [owner(0), owner(1, end_offset=111)]
    await shards.tick(1)
    assert alerts.turns() == [("shard-lag:g1-1", "firing")]


async def test_a_shard_that_has_something_to_read_and_does_not_move_is_an_alert(
    shards, alerts, generations, clock
):
    generations.registry("g1").announced = [owner(0), owner(1, end_offset=101)]
    await shards.tick(1)
    clock.forward(minutes=1)
    await shards.tick(1)
    assert alerts.turns() == [("shard-lag:g1-1", "firing")]
    assert alerts.published[0].severity == "critical"
    generations.registry("g1").announced = [owner(0), owner(1, next_offset=101, end_offset=102)]
    await shards.tick(1)
    assert alerts.turns()[-1] == ("shard-lag:g1-1", "resolved")


async def test_shards_that_this_installation_does_not_run_are_not_missed(
    shards, dependencies, alerts, generations
):
    generations.registry("g1").announced = []
    await shards.tick(1)
    assert alerts.turns() == [("shard-missing:g1-0", "firing"), ("shard-missing:g1-1", "firing")]
    elsewhere = SECTION.model_copy(update={"workers": frozenset({"embedder"})})
    await ShardWatch(elsewhere, dependencies, partitions=2, grace=NO_GRACE).tick(1)
    assert alerts.turns()[2:] == [("shard-missing:g1-0", "resolved"), ("shard-missing:g1-1", "resolved")]


async def test_a_late_shard_that_has_nothing_to_do_becomes_fresh(shards, alerts, generations, clock):
    generations.registry("g1").announced = [owner(0), owner(1, ingestion_p99=60.0)]
    await shards.tick(1)
    assert alerts.turns() == [("freshness:g1", "firing")]
    clock.forward(seconds=59)
    await shards.tick(1)
    assert len(alerts.turns()) == 1
    clock.forward(seconds=1)
    await shards.tick(1)
    assert alerts.turns()[-1] == ("freshness:g1", "resolved")


async def test_a_late_shard_that_goes_on_applying_stays_late(shards, alerts, generations, clock):
    for step in range(4):
        generations.registry("g1").announced = [
            owner(0),
            owner(1, ingestion_p99=60.0, next_offset=100 + step, end_offset=100 + step),
        ]
        await shards.tick(1)
        clock.forward(seconds=59)
    assert alerts.turns() == [("freshness:g1", "firing")]


async def test_every_live_generation_is_watched_and_a_gone_one_is_forgotten(
    shards, alerts, generations, clock
):
    generations.names = ["g1", "g2"]
    generations.registry("g2").announced = [owner(0), owner(1, ingestion_p99=60.0)]
    await shards.tick(1)
    assert alerts.turns() == [("freshness:g2", "firing")]
    generations.names = ["g1"]
    clock.forward(minutes=5)
    await shards.tick(1)
    generations.names = ["g1", "g2"]
    await shards.tick(1)
    assert alerts.turns() == [("freshness:g2", "firing")], "how long it stood still is counted anew"


async def test_what_was_never_served_may_take_a_while_to_start(dependencies, alerts, generations, clock):
    watch = ShardWatch(SECTION, dependencies, partitions=2, grace=timedelta(minutes=2))
    await watch.tick(1)
    clock.forward(seconds=119)
    await watch.tick(1)
    assert alerts.turns() == []
    generations.registry("g1").announced = [owner(0)]
    await watch.tick(1)
    clock.forward(seconds=1)
    await watch.tick(1)
    assert alerts.turns() == [("shard-missing:g1-1", "firing")]


@pytest.fixture
def announced() -> dict[str, Registry]:
    """Return the reader registries, by the name of the loop; the routers read all."""
    topics = {"router-catalogue": "catalogue.changes.v1", "router-search": "search.queries.v1"}
    return {name: Registry([reader(n, topic) for n in range(2)]) for name, topic in topics.items()}


@pytest.fixture
def reader_watch(dependencies, announced):
    def of(*workers: str, grace: timedelta = NO_GRACE) -> ReaderWatch:
        return ReaderWatch(
            SECTION.model_copy(update={"workers": frozenset(workers)}),
            dependencies,
            registry=lambda loop: announced.setdefault(loop, Registry()),
            partitions=2,
            grace=grace,
        )

    return of


async def test_readers_that_get_on_are_no_news(reader_watch, alerts, announced, clock):
    watch = reader_watch("embedder", "judgements")
    announced["embedder-g1"] = Registry([reader(0), reader(1)])
    announced["judgements-join"] = Registry(
        [reader(n, topic) for n in range(2) for topic in ("search.queries.v1", "search.events.v1")]
    )
    announced["judgements-window"] = Registry([reader(n, "search.outcomes.v1") for n in range(2)])
    for _ in range(3):
        await watch.tick(1)
        clock.forward(minutes=2)
    assert alerts.turns() == []


async def test_a_worker_that_this_installation_does_not_run_is_not_missed(reader_watch, alerts, announced):
    announced["embedder-g1"] = Registry([reader(0), reader(1)])
    await reader_watch("embedder").tick(1)
    assert alerts.turns() == []
    await reader_watch("embedder", "judgements").tick(1)
    assert [key for key, _ in alerts.turns()] == [
        "standstill:judgements-join",
        "standstill:judgements-window",
    ]


@pytest.mark.parametrize(
    ("worker", "topic"),
    [("search", "rollout.v1"), ("trainer", "training.jobs.v1"), ("rollout", "rollout.v1")],
)
async def test_a_worker_that_is_gone_is_an_alert_until_it_is_back(
    reader_watch, alerts, announced, worker, topic
):
    watch = reader_watch(worker)
    announced[worker] = Registry([reader(0, topic, partitions=1)])
    await watch.tick(1)
    assert alerts.turns() == []
    announced[worker] = Registry()
    await watch.tick(1)
    assert alerts.turns() == [(f"standstill:{worker}", "firing")]
    announced[worker] = Registry([reader(0, topic, partitions=1)])
    await watch.tick(1)
    assert alerts.turns()[-1] == (f"standstill:{worker}", "resolved")


async def test_an_alert_ends_when_its_worker_is_left_out(reader_watch, alerts):
    await reader_watch("trainer").tick(1)
    assert alerts.turns() == [("standstill:trainer", "firing")]
    await reader_watch().tick(1)
    assert alerts.turns()[-1] == ("standstill:trainer", "resolved")


async def test_a_reader_that_has_work_and_does_not_move_is_an_alert_until_it_moves(
    reader_watch, alerts, announced, clock
):
    watch = reader_watch("embedder")
    announced["embedder-g1"] = Registry([reader(0), reader(1, end_offset=300)])
    await watch.tick(1)
    clock.forward(seconds=59)
    await watch.tick(1)
    assert alerts.turns() == []
    clock.forward(seconds=1)
    await watch.tick(1)
    assert alerts.turns() == [("standstill:embedder-g1", "firing")]
    announced["embedder-g1"] = Registry([reader(0), reader(1, next_offset=101, end_offset=300)])
    await watch.tick(1)
    assert alerts.turns()[-1] == ("standstill:embedder-g1", "resolved")


async def test_each_generation_has_its_own_embedder(reader_watch, alerts, announced, generations):
    generations.names = ["g1", "g2"]
    announced["embedder-g1"] = Registry([reader(0), reader(1)])
    await reader_watch("embedder").tick(1)
    assert alerts.turns() == [("standstill:embedder-g2", "firing")]
    assert alerts.published[0].generation == "g2"


async def test_a_generation_that_comes_back_is_given_its_time_anew(
    reader_watch, alerts, announced, generations, clock
):
    watch = reader_watch("embedder")
    announced["embedder-g1"] = Registry([reader(0), reader(1, end_offset=300)])
    await watch.tick(1)
    generations.names = []
    clock.forward(minutes=5)
    await watch.tick(1)
    generations.names = ["g1"]
    await watch.tick(1)
    assert alerts.turns() == []
    clock.forward(minutes=1)
    await watch.tick(1)
    assert alerts.turns() == [("standstill:embedder-g1", "firing")]


async def test_an_embedder_that_was_never_seen_is_starting(reader_watch, alerts, announced, clock):
    watch = reader_watch("embedder", grace=timedelta(minutes=2))
    await watch.tick(1)
    assert alerts.turns() == []
    clock.forward(minutes=2)
    await watch.tick(1)
    assert alerts.turns() == [("standstill:embedder-g1", "firing")]


def test_the_watches_look_as_often_as_is_set(dependencies):
    section = FreshnessSettings(every=timedelta(seconds=3))
    watches = wire(Settings(), section, dependencies, grace=NO_GRACE).watches
    assert [(watch.name, watch.every.total_seconds()) for watch in watches] == [
        ("shards", 3),
        ("readers", 3),
        ("forwarding", 3),
        ("older", 3),
    ]
