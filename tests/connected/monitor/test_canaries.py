"""Canaries against a search API in this process, with a real Redis."""

import json
from datetime import timedelta
from functools import partial

import pytest

from schemas.alerts import Alert
from schemas.control import Model, Rollout
from schemas.judgements import Canary
from services.monitor.alerts.store import AlertStore
from services.monitor.canaries.registry import CanaryRegistry
from services.monitor.canaries.runner import CanaryDependencies
from services.monitor.canaries.settings import CanarySettings
from services.monitor.canaries.store import CanaryStore
from services.monitor.canaries.watch import CanaryWatch
from services.monitor.generations import WatchedGenerations
from services.monitor.search_probe import CanaryAnswer, SearchFailedError, SearchProbe
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.generations.canary_results import canary_results
from shared.generations.state import Generations
from shared.records import Partition, Record
from shared.streaming.dead_letters import DeadLetters

pytestmark = pytest.mark.connected

SHOE = Canary(canary_id="shoe", query="red shoe", product_ids=("p1", "p2"))


class Topic:
    """The canaries' compacted topic, written by hand."""

    def __init__(self, clock) -> None:
        self.records: dict[bytes, Record] = {}
        self._clock = clock
        self._offset = 0

    def put(self, key: bytes, value: bytes) -> None:
        at = Partition(Canary.topic, 0)
        self.records[key] = Record(at, self._offset, key, value, self._clock.now(), (("from", b"kcat"),))
        self._offset += 1

    def add(self, *canaries: Canary) -> None:
        for canary in canaries:
            self.put(canary.key(), canary.encode())


class Shop:
    """One monitor's canary watch and everything around it."""

    def __init__(self, redis, bus, clock, search, namespace: str) -> None:
        self.redis, self.bus, self.clock, self.search, self.namespace = redis, bus, clock, search, namespace
        self.topic = Topic(clock)
        self.client = self.new_client()
        self.state = Generations().founded("g1")
        self.watch = self.restart()

    def new_client(self, **changes: object) -> SearchProbe:
        options = {"timeout": timedelta(seconds=5), "concurrency": 4, **changes}
        return SearchProbe(self.search.url, **options)

    def restart(self) -> CanaryWatch:
        self.store = CanaryStore(self.redis, self.namespace, "g1")
        letters = DeadLetters(self.bus, reader="monitor", by=CanaryRegistry)
        registry = CanaryRegistry(self.topic, letters, self.redis, namespace=self.namespace)
        dependencies = CanaryDependencies(
            store=partial(CanaryStore, self.redis, self.namespace),
            search=self.client,
            generations=WatchedGenerations(
                self.redis, namespace=self.namespace, state=lambda: self.state, clock=self.clock
            ),
            alerts=AlertStore(self.redis, self.bus, namespace=self.namespace, clock=self.clock),
            clock=self.clock,
        )
        self.watch = CanaryWatch(CanarySettings(), registry, dependencies, grace=timedelta(minutes=2))
        return self.watch

    async def look(self, times: int = 1, seconds: float = 61) -> None:
        for _ in range(times):
            self.clock.forward(seconds=seconds)
            await self.watch.tick(1)

    async def apply_batch(self, next_offset: int, generation: str = "g1") -> OwnerRecord:
        owner = OwnerRecord(
            url="http://shard",
            instance="s",
            partition=0,
            partitions=1,
            epoch=1,
            next_offset=next_offset,
            end_offset=next_offset,
            ready=True,
            updated_at=self.clock.now(),
        )
        await OwnerRegistry(self.redis, self.namespace, generation).announce(owner, timedelta(minutes=5))
        return owner

    def alerts(self) -> list[Alert]:
        return [Alert.decode(message.value) for message in self.bus.on("alerts.v1")]

    def turns(self) -> list[tuple[str, str]]:
        return [(alert.alert_key, alert.status) for alert in self.alerts()]


@pytest.fixture
async def shop(redis, bus, clock, search, namespace):
    search.products["red shoe"] = ["p1", "p9", "p2"]
    made = Shop(redis, bus, clock, search, namespace)
    made.topic.add(SHOE)
    yield made
    await made.client.stop()


async def test_a_canary_is_asked_of_its_generation_and_not_logged(shop, search):
    await shop.look()
    assert [(a.text, a.k, a.generation, a.log) for a in search.asked] == [("red shoe", 10, "g1", False)]
    (result,) = await shop.store.results()
    assert (result.recall, result.reciprocal_rank, result.breached) == (1.0, 1.0, False)


async def test_a_deleted_product_fires_and_its_return_resolves(shop, search):
    await shop.look(times=3)
    search.products["red shoe"] = ["p9", "p2"]
    await shop.apply_batch(10)
    await shop.look(times=2)
    assert ("canary-recall:g1:shoe", "firing") in shop.turns()
    alert = next(a for a in shop.alerts() if a.alert_key == "canary-recall:g1:shoe")
    assert alert.evidence["missing"] == ("p1",)
    assert "GET /product/p1" in alert.action
    search.products["red shoe"] = ["p1", "p2"]
    await shop.look(times=2)
    assert shop.turns()[-1][1] == "resolved"
    assert ("canary-recall:g1:shoe", "resolved") in shop.turns()


async def test_a_step_after_a_batch_is_called_a_bug(shop, search):
    await shop.apply_batch(10)
    await shop.look(times=3)
    search.products["red shoe"] = []
    await shop.apply_batch(11)
    await shop.look(times=2)
    alert = next(a for a in shop.alerts() if a.alert_key == "canary-recall:g1:shoe")
    assert (alert.cause, alert.severity) == ("bug", "critical")


async def test_a_restart_neither_fires_again_nor_forgets_to_resolve(shop, search):
    await shop.look(times=3)
    search.products["red shoe"] = []
    for _ in range(4):
        shop.restart()
        await shop.look()
    assert shop.turns().count(("canary-recall:g1:shoe", "firing")) == 1
    search.products["red shoe"] = ["p1", "p2"]
    for _ in range(2):
        shop.restart()
        await shop.look()
    assert shop.turns().count(("canary-recall:g1:shoe", "resolved")) == 1


async def test_a_breach_is_confirmed_within_seconds(shop, search):
    await shop.look(times=3)
    search.products["red shoe"] = []
    await shop.watch.request({})
    await shop.look(times=2, seconds=2.5)
    assert ("canary-recall:g1:shoe", "firing") in shop.turns()


async def test_a_batch_is_followed_by_a_run(shop, search):
    await shop.apply_batch(10)
    await shop.look()
    await shop.look(times=10, seconds=1)
    assert len(search.asked) == 1
    await shop.apply_batch(11)
    await shop.look(times=3, seconds=1)
    assert len(search.asked) == 2


async def test_a_failing_search_is_its_own_alert_and_not_a_recall_of_zero(shop, search):
    await shop.look(times=3)
    search.status = 500
    await shop.look(times=3)
    assert shop.turns() == [("search-unreachable:g1", "firing")]
    assert (await shop.store.results())[0].recall == 1.0
    search.status = 200
    await shop.look(times=2)
    assert shop.turns()[-1] == ("search-unreachable:g1", "resolved")


async def test_a_canary_that_search_refuses_is_told_by_its_name(shop, search):
    search.status = 422
    await shop.look(times=2)
    assert shop.turns() == [("canary-refused:g1:shoe", "firing")]
    shop.topic.records.clear()
    shop.topic.add(SHOE.model_copy(update={"canary_id": "other"}))
    search.status = 200
    await shop.look()
    assert shop.turns()[-1] == ("canary-refused:g1:shoe", "resolved")


async def test_a_generation_that_search_does_not_serve_is_no_fault_of_a_canary(shop, search):
    await shop.look(times=3)
    search.status, search.code = 422, "generation.unknown"
    await shop.look(times=3)
    assert shop.turns() == [("search-unreachable:g1", "firing")]


async def test_a_partial_answer_judges_no_canary(shop, search):
    await shop.look(times=3)
    search.partial, search.products["red shoe"] = True, []
    await shop.look(times=3)
    assert shop.turns() == [("canaries-partial:g1", "firing")]


async def test_a_removed_canary_closes_its_alerts(shop, search):
    await shop.look(times=3)
    search.products["red shoe"] = []
    await shop.look(times=2)
    shop.topic.records.clear()
    await shop.look()
    assert ("canary-recall:g1:shoe", "resolved") in shop.turns()
    assert await shop.store.results() == []


async def test_no_more_searches_at_a_time_than_allowed(shop, search):
    shop.topic.add(*(Canary(canary_id=f"c{n}", query=f"q{n}", product_ids=("p",)) for n in range(50)))
    await shop.look()
    assert len(search.asked) == 51
    assert search.most_at_once <= 4


async def test_a_busy_search_is_asked_again(shop, search):
    search.busy = 2
    assert await shop.client.ask(SHOE, generation="g1") == CanaryAnswer(("p1", "p9", "p2"), partial=False)
    search.busy = 99
    with pytest.raises(SearchFailedError, match="HTTP 429"):
        await shop.client.ask(SHOE, generation="g1")


async def test_a_search_that_does_not_answer_fails_in_time(shop, search):
    search.hang = True
    hasty = shop.new_client(timeout=timedelta(milliseconds=50))
    with pytest.raises(SearchFailedError, match="time limit"):
        await hasty.ask(SHOE, generation="g1")
    await hasty.stop()


async def test_a_search_that_is_not_there_fails():
    client = SearchProbe("http://127.0.0.1:9", timeout=timedelta(seconds=1), concurrency=1)
    with pytest.raises(SearchFailedError, match="ConnectError"):
        await client.ask(SHOE, generation="g1")
    await client.stop()


async def test_every_live_generation_has_its_own_canaries_alerts_and_end(shop, search):
    await shop.apply_batch(10)
    other = await shop.apply_batch(10, "g2")
    await shop.look(times=3)
    assert [asked.generation for asked in search.asked] == ["g1", "g2"] * 3
    search.products_of["g2"] = {"red shoe": ["p9"]}
    await shop.apply_batch(11, "g2")
    await shop.look(times=2)
    assert set(shop.turns()) == {("canary-recall:g2:shoe", "firing"), ("canaries-overall:g2", "firing")}
    assert [(r.generation, r.recall) for r in await shop.watch.results()] == [("g1", 1.0), ("g2", 0.0)]
    await OwnerRegistry(shop.redis, shop.namespace, "g2").withdraw(other)
    asked = len(search.asked)
    await shop.look()
    assert [a.generation for a in search.asked[asked:]] == ["g1"]
    assert len(await shop.watch.results()) == 1


async def test_a_generation_that_is_being_built_is_asked_and_alerts_nobody_until_it_is_whole(shop, search):
    model = Model(
        model_id="m",
        fingerprint="0" * 16,
        location="/m",
        dimensions=3,
        verdict="admitted",
        created_at=shop.clock.now(),
    )
    begun = Rollout(
        request_id="b",
        status="running",
        action="backfill",
        generation="g2",
        model=model,
        requested_at=shop.clock.now(),
    )
    shop.state = shop.state.after(begun)
    search.products_of["g2"] = {"red shoe": ["p9"]}
    await shop.apply_batch(10, "g2")
    await shop.look(times=4)
    assert shop.turns() == []
    found = await canary_results(shop.redis, shop.namespace, "g2")
    assert {name: each.recall for name, each in found.items()} == {"shoe": 0.0}
    shop.state = shop.state.after(begun.model_copy(update={"status": "done"}))
    await shop.look(times=2)
    assert shop.turns()[0] == ("canary-recall:g2:shoe", "firing")
    shop.state = shop.state.after(begun.model_copy(update={"action": "retire", "status": "done"}))
    asked = len(search.asked)
    await shop.look()
    assert [a.generation for a in search.asked[asked:]] == ["g1"]


async def test_a_generation_whose_owners_died_is_asked_for_a_while_longer(shop, search):
    await shop.apply_batch(10, "g2")
    await shop.look(seconds=240)
    assert [asked.generation for asked in search.asked] == ["g1", "g2"]
    await shop.look(seconds=61)
    assert [asked.generation for asked in search.asked] == ["g1", "g2", "g1"]


async def test_a_search_that_was_never_reached_is_starting_until_the_grace_is_over(shop, search):
    search.status = 503
    await shop.look(times=3, seconds=30)
    assert shop.turns() == []
    await shop.look(times=4, seconds=30)
    assert shop.turns() == [("search-unreachable:g1", "firing")]
    shop.restart()
    search.status = 200
    await shop.look(times=3, seconds=11)
    assert shop.turns()[-1] == ("search-unreachable:g1", "resolved")


async def test_a_search_that_fails_for_a_moment_is_no_alert(shop, search):
    await shop.look(times=3)
    search.status = 503
    await shop.look(times=3, seconds=3)
    search.status = 200
    await shop.look(times=3, seconds=3)
    assert shop.turns() == []


POISON = {
    b"broken": b"{",
    b"null": b"null",
    b"list": b"[]",
    b"nothing": b"",
    b"no-query": json.dumps({"canary_id": "no-query", "product_ids": ["p"]}).encode(),
    b"no-products": json.dumps({"canary_id": "no-products", "query": "q", "product_ids": []}).encode(),
    b"k": json.dumps({"canary_id": "k", "query": "q", "product_ids": ["p"], "k": 0}).encode(),
    b"nan": b'{"canary_id":"nan","query":"q","product_ids":["p"],"minimum_recall":NaN}',
    b"other": json.dumps({"canary_id": "another", "query": "q", "product_ids": ["p"]}).encode(),
    b"\xff": b"\xff\xfe",
    b"deep": b"[" * 5000,
}


async def test_poison_is_dead_lettered_whole_and_once_and_the_others_run(shop, bus, search):
    for key, value in POISON.items():
        shop.topic.put(key, value)
    await shop.look(times=2)
    shop.restart()
    await shop.look()
    letters = bus.on("canaries.v1.dlq")
    assert {letter.key: letter.value for letter in letters} == POISON
    assert len(letters) == len(POISON)
    names = [name for name, _ in letters[0].headers]
    assert names[0] == "from"
    assert sum(name.startswith("__connect.errors.") for name in names) == 10
    assert "headrace.reason" in names
    assert len(search.asked) == 3


async def test_poison_waits_for_the_broker(shop, bus):
    shop.topic.put(b"broken", b"{")
    bus.away = True
    with pytest.raises(Exception, match="away"):
        await shop.look()
    bus.away = False
    await shop.look()
    assert len(bus.on("canaries.v1.dlq")) == 1
