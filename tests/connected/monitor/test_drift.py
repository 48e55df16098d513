"""Drift watched over a real Redis: quiet while nothing happens, an alert when it does, over restarts."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest

from schemas.alerts import Alert
from schemas.control import TrainingJob
from schemas.judgements import Item, Outcome
from schemas.search import Ranking, SearchQuery
from services.monitor.alerts.store import AlertStore
from services.monitor.dependencies import MonitorDependencies
from services.monitor.drift.probes import Probes
from services.monitor.drift.settings import DriftSettings
from services.monitor.drift.store import DriftStore
from services.monitor.drift.tally_keeper import TallyKeeper, vector_of
from services.monitor.drift.watch import TOPICS, DriftDependencies, DriftWatch
from services.monitor.drift.wiring import READER
from services.monitor.generations import WatchedGenerations
from services.monitor.search_probe import SearchProbe
from services.monitor.settings import MonitorSettings, Settings
from shared.cluster.members import ReaderRecord
from shared.cluster.registry import ReaderRegistry
from shared.errors import FencedError
from shared.generations.state import Generations
from shared.records import Applied, Batch, Partition, Record

pytestmark = pytest.mark.connected

MINUTE = timedelta(minutes=1)
DRIFT = DriftSettings(
    window=MINUTE,
    season="none",
    memory=20,
    learn=30,
    remember=200,
    false_alarm_every=timedelta(days=10),
    grace=timedelta(seconds=5),
    documents=0,
    probes=0,
    retrain=True,
)
QUERIES, OUTCOMES = (Partition(topic, 0) for topic in TOPICS)


class Monitor:
    """What the worker wires, without its processes; made anew, it is a monitor that was started again."""

    def __init__(self, settings: Settings, redis, bus, clock) -> None:
        name = settings.namespace
        self.clock, self.epoch = clock, 1
        self.alerts = AlertStore(redis, bus, namespace=name, clock=clock)
        founded = Generations().founded("g1")
        generations = WatchedGenerations(redis, namespace=name, state=lambda: founded, clock=clock)
        drift = settings.monitor.drift
        self.keeper = TallyKeeper(redis, namespace=name, settings=drift, generations=generations, clock=clock)
        common = MonitorDependencies(
            redis=redis,
            publisher=bus,
            search=SearchProbe("http://127.0.0.1:9", timeout=timedelta(seconds=1), concurrency=1),
            generations=generations,
            alerts=self.alerts,
            clock=clock,
        )
        self.readers = ReaderRegistry(redis, name, READER)
        watched = DriftDependencies(
            keeper=self.keeper,
            readers=self.readers,
            store=DriftStore(redis, namespace=name),
            probes=Probes(settings, drift, common),
            generations=generations,
            alerts=self.alerts,
            publisher=bus,
            clock=clock,
        )
        self.watch = DriftWatch(drift, watched, partitions=lambda: dict.fromkeys(TOPICS, settings.partitions))

    async def begin(self) -> dict[Partition, int | None]:
        for partition in (QUERIES, OUTCOMES):
            record = ReaderRecord(
                instance="m",
                topic=partition.topic,
                partition=0,
                partitions=1,
                next_offset=0,
                end_offset=0,
                updated_at=self.clock.now(),
            )
            await self.readers.announce(record, timedelta(hours=1))
        return {partition: await self.keeper.assigned(partition) for partition in (QUERIES, OUTCOMES)}


class Shop:
    """Queries and outcomes of one minute after the other."""

    def __init__(self, clock) -> None:
        self.clock, self.rng = clock, np.random.default_rng(4)
        self.offsets = dict.fromkeys((QUERIES, OUTCOMES), 0)

    def minute(self, *, broken: bool = False) -> dict[Partition, list[Record]]:
        queries = [self.query(broken=broken) for _ in range(60)]
        clicks = int(self.rng.binomial(600, 0.05 if broken else 0.1))
        shown = tuple(Item(product_id=f"p{at}", position=at + 1) for at in range(10))
        outcomes = [self.outcome("impression", shown) for _ in queries]
        outcomes += [self.outcome("click", shown[:1]) for _ in range(clicks)]
        return {QUERIES: self.records(QUERIES, queries), OUTCOMES: self.records(OUTCOMES, outcomes)}

    def query(self, *, broken: bool) -> SearchQuery:
        vector = self.rng.standard_normal(16) + 3 * broken
        vector /= np.linalg.norm(vector)
        ranking = Ranking(
            generation="g1",
            fingerprint="1" * 16,
            mode="hybrid",
            similarities=tuple(self.rng.uniform(0.3, 0.8, 3) - 0.3 * broken),
            vector=b64encode(vector.astype("<f2").tobytes()).decode(),
        )
        words = self.rng.choice(["red shoe", "blue lamp", "green sofa", "small table"])
        return SearchQuery(
            query_id="q",
            user_query=f"{words} broken" if broken else str(words),
            timestamp=self.clock.now(),
            query_response_object_ids=("p1", "p2", "p3"),
            ranking=ranking,
        )

    def outcome(self, action: str, items: tuple[Item, ...]) -> Outcome:
        return Outcome(
            query="q",
            user_query="q",
            query_id="q",
            action=action,
            items=items,
            generation="g1",
            event_time=self.clock.now(),
            origin=0,
            sequence=0,
        )

    def records(self, partition: Partition, messages: Sequence[SearchQuery | Outcome]) -> list[Record]:
        first = self.offsets[partition]
        self.offsets[partition] += len(messages)
        now = self.clock.now()
        return [Record(partition, first + n, b"k", each.encode(), now) for n, each in enumerate(messages)]


def learned(monitor: Monitor) -> list[tuple[object, ...]]:
    """Return what the status says but for the PSI, which is of the newest window."""
    names = ("scope", "signal", "learned", "alarmed", "cause")
    return [tuple(row[name] for name in names) for row in monitor.watch.status()["signals"]]


async def give(monitor: Monitor, records: Sequence[Record]) -> Applied:
    batch = Batch([(each, monitor.keeper.decode(each)) for each in records], records[-1].offset + 1)
    return await monitor.keeper.handle(records[0].partition, batch)


async def watch_minutes(monitor: Monitor, shop: Shop, minutes: int, *, broken: bool = False) -> None:
    for _ in range(minutes):
        for records in shop.minute(broken=broken).values():
            await give(monitor, records)
        monitor.clock.forward(minutes=1)
        await monitor.watch.tick(monitor.epoch)


@pytest.fixture
def settings(redis_url, namespace) -> Settings:
    return Settings(redis=redis_url, namespace=namespace, partitions=1, monitor=MonitorSettings(drift=DRIFT))


def latest_alerts(bus) -> dict[str, Alert]:
    return {alert.alert_key: alert for sent in bus.on(Alert.topic) if (alert := Alert.decode(sent.value))}


async def test_quiet_traffic_is_no_alert_and_a_broken_encoder_is_one_over_a_restart(
    settings, redis, bus, clock
):
    monitor, shop = Monitor(settings, redis, bus, clock), Shop(clock)
    await monitor.begin()
    clock.forward(minutes=1)
    await watch_minutes(monitor, shop, 70)
    assert not bus.sent
    before = learned(monitor)
    monitor = Monitor(settings, redis, bus, clock)  # started again
    assert await monitor.begin() == shop.offsets
    clock.forward(seconds=5)
    await monitor.watch.tick(1)
    assert learned(monitor) == before
    await watch_minutes(monitor, shop, 1, broken=True)
    monitor = Monitor(settings, redis, bus, clock)  # and in the middle of it
    await monitor.begin()
    clock.forward(seconds=5)
    await watch_minutes(monitor, shop, 6, broken=True)
    alert = latest_alerts(bus)["drift:g1:query-embeddings"]
    assert alert.status == "firing"
    assert alert.evidence["shape"] == "step"
    assert alert.cause == "unknown", "nothing was deployed that the monitor could see"
    assert "broken" in alert.evidence["terms"]
    assert "drift:shop:click-rate" in latest_alerts(bus)
    assert not bus.on(TrainingJob.topic), "a bug is no reason to train"
    await watch_minutes(monitor, shop, 60)
    assert {alert.status for alert in latest_alerts(bus).values()} == {"resolved"}


async def test_a_batch_that_comes_again_and_an_owner_that_lost_its_lease_add_nothing(
    settings, redis, bus, clock
):
    monitor, shop = Monitor(settings, redis, bus, clock), Shop(clock)
    await monitor.begin()
    records = shop.minute()[QUERIES]
    for _ in range(2):
        assert await give(monitor, records) == Applied(60)
    [window] = (await monitor.keeper.windows([QUERIES])).values()
    assert window["g1"].counts["answers"] == 60
    other = Monitor(settings, redis, bus, clock)
    await other.begin()
    with pytest.raises(FencedError):
        await give(monitor, shop.minute()[QUERIES])


async def test_what_cannot_be_read_counts_nothing(settings, redis, bus, clock):
    monitor = Monitor(settings, redis, bus, clock)
    await monitor.begin()
    values = [b"{", None, b"[]"]
    read = [Record(QUERIES, at, b"q", value, clock.now()) for at, value in enumerate(values)]
    assert await give(monitor, read) == Applied(0, no_op=3)
    assert vector_of("%%") is None
    assert vector_of(b64encode(b"\x00\x7c" * 16).decode()) is None, "an infinity"


async def test_a_slope_asks_for_one_training_job(settings, redis, bus, clock):
    monitor, shop = Monitor(settings, redis, bus, clock), Shop(clock)
    await monitor.begin()
    clock.forward(minutes=1)
    await watch_minutes(monitor, shop, 70)
    for step in range(40):
        queries = [shop.query(broken=bool(shop.rng.random() < 0.012 * step)) for _ in range(60)]
        await give(monitor, shop.records(QUERIES, queries))
        clock.forward(minutes=1)
        await monitor.watch.tick(1)
    jobs = [TrainingJob.decode(sent.value) for sent in bus.on(TrainingJob.topic)]
    assert jobs
    assert len({job.job_id for job in jobs}) == len(jobs)
    assert {(job.status, job.reason) for job in jobs} == {("requested", "drift")}
    assert [alert for alert in latest_alerts(bus).values() if alert.cause == "drift"]
