"""The canaries of one generation: run when due, judged by the answers, quiet while it is built."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from schemas.judgements import Canary
from services.monitor.alerts.domain.grace import Grace
from services.monitor.canaries.domain.verdict import CanaryVerdict, Memory
from services.monitor.canaries.runner import CanaryDependencies, CanaryRunner, canaries_run
from services.monitor.canaries.settings import CanarySettings
from services.monitor.canaries.watch import CanaryWatch
from services.monitor.search_probe import CanaryAnswer, CanaryRefusedError, SearchFailedError
from shared.errors import FencedError
from tests.unit.monitor.conftest import Generations, owner

SHOE = Canary(canary_id="shoe", query="red shoe", product_ids=("p1", "p2"))
LAMP = Canary(canary_id="lamp", query="lamp", product_ids=("p3",))
RECALL = "canary-recall:g1:shoe"


class Search:
    """Answers each canary with its own products, unless a test says otherwise."""

    def __init__(self) -> None:
        self.answers: dict[str, CanaryAnswer | SearchFailedError] = {}
        self.default: CanaryAnswer | SearchFailedError | None = None
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def ask_all(
        self, canaries: Sequence[Canary], *, generation: str
    ) -> list[CanaryAnswer | SearchFailedError]:
        self.asked.append((generation, tuple(canary.canary_id for canary in canaries)))
        return [self._answer(canary) for canary in canaries]

    def _answer(self, canary: Canary) -> CanaryAnswer | SearchFailedError:
        answer = self.answers.get(canary.canary_id, self.default)
        return answer or CanaryAnswer(canary.product_ids, partial=False)


class Store:
    """The memories and results of one generation; `order` notes when it was written."""

    def __init__(self, order: list[str]) -> None:
        self.kept: dict[str, Memory] = {}
        self.last: dict[str, object] = {}
        self._order = order

    async def memories(self) -> dict[str, Memory]:
        return dict(self.kept)

    async def results(self) -> list:
        return [self.last[name] for name in sorted(self.last)]

    async def store(self, verdicts: Sequence[CanaryVerdict], *, gone, epoch: int) -> None:
        self._order.append("memory")
        for verdict in verdicts:
            self.kept[verdict.canary.canary_id] = verdict.memory
            self.last[verdict.canary.canary_id] = verdict.result
        for name in gone:
            del self.kept[name]
            del self.last[name]


class Shop:
    """One runner, and everything around it."""

    def __init__(self, alerts, clock, generations: Generations) -> None:
        self.alerts, self.clock, self.generations = alerts, clock, generations
        self.search = Search()
        self.order: list[str] = []
        self.stores: dict[str, Store] = {}
        self.canaries = [SHOE]
        self.dependencies = CanaryDependencies(
            store=lambda name: self.stores.setdefault(name, Store(self.order)),
            search=self.search,
            generations=generations,
            alerts=alerts,
            clock=clock,
        )
        self.runner = self.restart()

    @property
    def store(self) -> Store:
        return self.stores["g1"]

    def restart(self, grace: timedelta = timedelta(0)) -> CanaryRunner:
        self.runner = CanaryRunner("g1", CanarySettings(), self.dependencies, grace=Grace(span=grace))
        return self.runner

    async def tick(self, times: int = 1, seconds: float = 61) -> None:
        for _ in range(times):
            self.clock.forward(seconds=seconds)
            await self.runner.tick(self.canaries, 1)

    def announce(self, next_offset: int) -> None:
        self.generations.registry("g1").announced = [owner(next_offset=next_offset)]

    @property
    def runs(self) -> int:
        return len(self.search.asked)


@pytest.fixture
def shop(alerts, clock, generations) -> Shop:
    return Shop(alerts, clock, generations)


async def test_a_new_runner_runs_at_once_and_then_on_its_timer(shop):
    await shop.tick(seconds=0)
    assert shop.search.asked == [("g1", ("shoe",))]
    await shop.tick(seconds=59)
    assert shop.runs == 1
    await shop.tick(seconds=2)
    assert shop.runs == 2


async def test_a_fall_is_an_alert_at_the_second_run_and_its_end_resolves_it(shop):
    await shop.tick(times=3)
    shop.search.answers["shoe"] = CanaryAnswer(("p2",), partial=False)
    await shop.tick()
    assert shop.alerts.turns() == []
    await shop.tick(seconds=2.5)  # what was seen is confirmed soon, not on the timer
    assert (RECALL, "firing") in shop.alerts.turns()
    assert shop.alerts.by_key[RECALL].alert.evidence["missing"] == ("p1",)
    shop.search.answers.clear()
    await shop.tick(times=2)
    assert (RECALL, "resolved") in shop.alerts.turns()


@pytest.mark.parametrize(("offset", "cause"), [(11, "bug"), (10, "unknown")])
async def test_a_step_is_called_a_bug_only_after_the_index_moved(shop, offset, cause):
    shop.announce(10)
    await shop.tick(times=4)
    shop.search.answers["shoe"] = CanaryAnswer((), partial=False)
    shop.announce(offset)
    await shop.tick()
    assert shop.store.kept["shoe"].cause == cause


async def test_a_batch_is_followed_by_a_run_when_the_catalogue_is_quiet(shop):
    shop.announce(10)
    await shop.tick()
    for offset in (11, 12, 13):
        shop.announce(offset)
        await shop.tick(seconds=0.9)
    assert shop.runs == 1
    await shop.tick(times=3, seconds=1)
    assert shop.runs == 2


async def test_a_canary_that_is_added_or_changed_is_run_soon(shop):
    await shop.tick()
    shop.canaries = [SHOE, LAMP]
    await shop.tick(times=4, seconds=1)
    assert shop.search.asked[-1] == ("g1", ("shoe", "lamp"))
    assert shop.runs == 2


async def test_a_command_is_a_run_at_the_next_tick(shop):
    await shop.tick()
    shop.runner.order()
    await shop.tick(seconds=3)
    assert shop.runs == 2


async def test_the_memory_is_kept_after_the_alerts_have_stepped(shop, monkeypatch):
    observe = shop.alerts.observe

    async def noted(observations, **options):
        shop.order.append("alerts")
        return await observe(observations, **options)

    monkeypatch.setattr(shop.alerts, "observe", noted)
    await shop.tick()
    assert shop.order == ["alerts", "alerts", "memory"]


async def test_a_deposed_leader_learns_nothing(shop):
    await shop.tick()
    learned = dict(shop.store.kept)
    shop.alerts.epoch = 2
    shop.clock.forward(seconds=61)
    with pytest.raises(FencedError):
        await shop.runner.tick(shop.canaries, 1)
    assert shop.store.kept == learned


async def test_a_generation_that_is_built_is_judged_and_alerts_nobody(shop):
    shop.runner.quiet = True
    shop.search.answers["shoe"] = CanaryAnswer((), partial=False)
    await shop.tick(times=5)
    assert shop.alerts.turns() == []
    assert shop.store.last["shoe"].recall == 0
    shop.runner.quiet = False
    await shop.tick(times=2)
    assert (RECALL, "firing") in shop.alerts.turns()


async def test_a_search_that_fails_says_nothing_of_any_canary(shop):
    await shop.tick(times=3)
    shop.search.default = SearchFailedError("no answer within the time limit")
    await shop.tick(times=4)
    assert shop.alerts.turns() == [("search-unreachable:g1", "firing")]
    assert shop.store.last["shoe"].recall == 1
    assert not [
        key for key in shop.alerts.by_key if key.startswith("canary-") and shop.alerts.by_key[key].alert
    ]


async def test_a_partial_answer_says_only_that_it_was_partial(shop):
    shop.canaries = [SHOE, LAMP]
    await shop.tick(times=3)
    shop.search.answers["shoe"] = CanaryAnswer((), partial=True)
    await shop.tick(times=4)
    assert shop.alerts.turns() == [("canaries-partial:g1", "firing")]
    assert (shop.store.last["shoe"].recall, shop.store.last["lamp"].recall) == (1, 1)


async def test_a_canary_that_search_refuses_is_its_own_alert_and_search_is_well(shop):
    shop.canaries = [SHOE, LAMP]
    shop.search.answers["lamp"] = CanaryRefusedError("the query is too long")
    await shop.tick(times=4)
    assert shop.alerts.turns() == [("canary-refused:g1:lamp", "firing")]
    assert "the query is too long" in shop.alerts.published[0].summary


async def test_a_search_that_still_starts_is_no_news_but_is_looked_at_soon(shop):
    shop.restart(grace=timedelta(minutes=2))
    shop.search.default = SearchFailedError("ConnectError")
    await shop.tick(seconds=0)
    await shop.tick(times=4, seconds=3)
    assert shop.runs == 5, "confirmed every few seconds, not once a minute"
    assert shop.alerts.turns() == []
    await shop.tick(times=5, seconds=61)
    assert shop.alerts.turns() == [("search-unreachable:g1", "firing")]


async def test_a_canary_that_was_removed_closes_its_alerts_and_is_forgotten(shop):
    shop.canaries = [SHOE, LAMP]
    await shop.tick(times=3)
    shop.search.answers["shoe"] = CanaryAnswer((), partial=False)
    await shop.tick(times=2)
    shop.canaries = [LAMP]
    await shop.tick()
    assert (RECALL, "resolved") in shop.alerts.turns()
    assert set(shop.store.kept) == {"lamp"}


async def test_the_outcomes_of_a_run_are_measured(shop):
    shop.canaries = [SHOE, LAMP, *(LAMP.model_copy(update={"canary_id": name}) for name in ("a", "b"))]
    await shop.tick(times=3)
    shop.search.answers = {
        "shoe": CanaryAnswer((), partial=False),
        "a": SearchFailedError("HTTP 500"),
        "b": CanaryAnswer((), partial=True),
    }
    await shop.tick()
    outcomes = ("healthy", "breached", "failed", "partial")
    counted = {outcome: canaries_run.labels("g1", outcome)._value.get() for outcome in outcomes}
    assert counted == {"healthy": 1, "breached": 1, "failed": 1, "partial": 1}


class Canaries:
    """The registry, with what a test puts there."""

    async def read(self) -> list[Canary]:
        return [SHOE]


@pytest.fixture
def watch(shop) -> CanaryWatch:
    return CanaryWatch(CanarySettings(), Canaries(), shop.dependencies, grace=timedelta(0))


async def test_every_generation_that_is_served_or_built_has_its_runner(shop, watch):
    shop.generations.names, shop.generations.built = ["g1", "g2"], ["g3"]
    await watch.tick(1)
    assert [generation for generation, _ in shop.search.asked] == ["g1", "g2", "g3"]
    assert [result.generation for result in await watch.results()] == ["g1", "g2"], "built ones are not shown"


async def test_a_runner_lives_as_long_as_its_generation(shop, watch):
    await watch.tick(1)
    shop.clock.forward(seconds=5)
    await watch.tick(1)
    assert shop.runs == 1, "the same runner: it ran a moment ago"
    shop.generations.names = []
    await watch.tick(1)
    shop.generations.names = ["g1"]
    await watch.tick(1)
    assert shop.runs == 2, "a new one: it runs at once"


async def test_what_was_built_alerts_as_soon_as_it_is_served(shop, watch):
    shop.generations.names, shop.generations.built = ["g1"], ["g2"]
    shop.search.default = CanaryAnswer((), partial=False)
    for _ in range(6):
        await watch.tick(1)
        shop.clock.forward(seconds=61)
    assert not [key for key, _ in shop.alerts.turns() if ":g2" in key]
    shop.generations.names, shop.generations.built = ["g1", "g2"], []
    for _ in range(2):
        await watch.tick(1)
        shop.clock.forward(seconds=61)
    assert ("canary-recall:g2:shoe", "firing") in shop.alerts.turns()


@pytest.mark.parametrize(
    ("arguments", "asked"), [({}, ["g1", "g2"]), ({"generation": "g2"}, ["g2"]), ({"generation": "g9"}, [])]
)
async def test_a_command_runs_one_generation_or_all(shop, watch, arguments, asked):
    shop.generations.names = ["g1", "g2"]
    await watch.tick(1)
    shop.search.asked.clear()
    await watch.request(arguments)
    shop.clock.forward(seconds=3)
    await watch.tick(1)
    assert [generation for generation, _ in shop.search.asked] == asked
