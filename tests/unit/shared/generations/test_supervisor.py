"""Generations come and go in one process, in virtual time; only the live one's failure ends it."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta

import pytest

from shared.errors import AbsentError, ConfigurationError, FatalError, TransientError
from shared.generations.state import Generation, Generations, Stage
from shared.generations.status import GenerationStatus
from shared.generations.supervisor import PERSISTENCE, REPORT, TICK, GenerationSupervisor, Persistence
from tests.unit.shared.generations.answers import message
from tests.unit.shared.virtual_time import now, virtually


class Component:
    """Does as its world says, and writes down what it is asked."""

    def __init__(self, world: "World", generation: Generation) -> None:
        self.world, self.name = world, generation.name
        self.stages: list[Stage] = [generation.stage]
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        self.world.told(f"start {self.name}")
        if failures := self.world.start_failures.get(self.name):
            raise failures.pop(0)
        self.world.components[self.name] = self

    async def stop(self) -> None:
        self.world.told(f"stop {self.name}")
        if self.name in self.world.stuck:
            raise TransientError("cannot let go")

    async def wait(self) -> None:
        await asyncio.shield(self.ended)

    def at(self, stage: Stage) -> None:
        if stage != self.stages[-1]:
            self.stages.append(stage)

    def missing(self) -> str | None:
        return self.world.missing.get(self.name)


class World:
    """What `rollout.v1` says, what becomes of the components, and what is reported of them."""

    def __init__(self, persistence: Persistence = PERSISTENCE) -> None:
        self.generations = Generations().founded("g1")
        self.story: list[tuple[float, str]] = []
        self.components: dict[str, Component] = {}
        self.start_failures: dict[str, list[Exception]] = {}
        self.missing: dict[str, str] = {}
        self.stuck: set[str] = set()
        self.removals: list[Exception] = []
        self.reported: list[dict[str, tuple[str, str, bool]]] = []
        self.board_is_away = False
        self.supervisor = GenerationSupervisor(
            self,
            lambda generation: Component(self, generation),
            self,
            remove=self.remove,
            persistence=persistence,
        )

    def told(self, what: str) -> None:
        self.story.append((now(), what))

    @property
    def events(self) -> list[str]:
        return [what for _, what in self.story]

    async def remove(self, generation: Generation) -> None:
        self.told(f"remove {generation.name}")
        if self.removals:
            raise self.removals.pop(0)

    async def report(self, statuses: Sequence[GenerationStatus]) -> None:
        if self.board_is_away:
            raise TransientError("Redis is away")
        self.reported.append(
            {status.generation: (status.status, status.reason, status.refused) for status in statuses}
        )

    def say(self, *answers: tuple[str, str, str]) -> None:
        for answer in answers:
            self.generations = self.generations.after(message(*answer))


BUILDING = ("backfill", "g2", "running")
BUILT = ("backfill", "g2", "done")
PROMOTED = ("promote", "g2", "done")
A_TICK = 2 * TICK.total_seconds()
PAUSE, PATIENCE = (each.total_seconds() for each in PERSISTENCE[:2])
A_WHILE = PAUSE + REPORT.total_seconds() + A_TICK


def told(story: Coroutine[object, object, World]) -> World:
    return virtually(story)


async def test_the_live_generation_works_when_start_returns_and_the_others_follow():
    world = World()
    world.say(BUILDING)
    await world.supervisor.start()
    assert world.events == ["start g1"]
    await world.supervisor.tick()
    await asyncio.sleep(0)
    assert world.events == ["start g1", "start g2"]
    assert world.supervisor.running.keys() == {"g1", "g2"}
    await world.supervisor.stop()


def test_a_generation_that_is_given_up_is_stopped_and_then_cleared_away_once():
    async def story() -> World:
        world = World()
        world.say(BUILDING, BUILT, PROMOTED)
        await world.supervisor.start()
        await asyncio.sleep(A_TICK)
        world.say(("retire", "g1", "done"))
        await asyncio.sleep(A_WHILE)
        assert world.supervisor.running.keys() == {"g2"}
        return world

    assert told(story()).events == ["start g2", "start g1", "stop g1", "remove g1"]


def test_what_could_not_be_cleared_away_is_cleared_away_later():
    async def story() -> World:
        world = World()
        world.say(BUILDING, BUILT, PROMOTED, ("retire", "g1", "done"))
        world.removals = [TransientError("the disk is busy")] * 2
        await world.supervisor.start()
        await asyncio.sleep(20)
        return world

    assert told(story()).events.count("remove g1") == 3


def test_a_component_is_told_the_stage_of_its_generation():
    async def story() -> World:
        world = World()
        await world.supervisor.start()
        for answer in (BUILDING, BUILT, PROMOTED, ("rollback", "g2", "done")):
            world.say(answer)
            await asyncio.sleep(A_TICK)
        return world

    components = told(story()).components
    assert components["g2"].stages == ["building", "ready", "live", "warm"]
    assert components["g1"].stages == ["live", "warm", "live"]


TRIED = " (it is tried again; given up after 10 minutes)"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FatalError("fenced"), "fenced" + TRIED),
        (KeyError(), "KeyError()" + TRIED),
        (AbsentError("/m is not a directory"), "/m is not a directory" + TRIED),
        (TransientError("Redis is away"), "Redis is away"),
    ],
)
def test_a_generation_that_cannot_start_is_reported_and_tried_again_while_the_live_one_runs_on(
    error: Exception, reason: str
):
    async def story() -> World:
        world = World()
        world.start_failures["g2"] = [error]
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(REPORT.total_seconds() + A_TICK)
        assert world.reported[-1]["g1"] == ("running", "", False)
        assert world.reported[-1]["g2"] == ("failed", reason, False)
        assert world.supervisor.running.keys() == {"g1"}
        await asyncio.sleep(A_WHILE)
        assert world.reported[-1]["g2"] == ("running", "", False)
        return world

    world = told(story())
    assert world.events == ["start g1", "start g2", "stop g2", "start g2"]
    attempts = [moment for moment, what in world.story if what == "start g2"]
    assert attempts[1] - attempts[0] == PAUSE


def test_a_refused_model_is_said_to_be_and_never_tried_again():
    async def story() -> World:
        world = World()
        world.start_failures["g2"] = [ConfigurationError("auto_map names code")]
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(3 * A_WHILE)
        assert world.reported[-1]["g2"] == ("failed", "auto_map names code", True)
        assert world.supervisor.running.keys() == {"g1"}
        world.say(("retire", "g2", "done"))
        await asyncio.sleep(A_WHILE)
        return world

    assert told(story()).events == ["start g1", "start g2", "stop g2", "remove g2"]


@pytest.mark.parametrize("error", [AbsentError("/m is not a directory"), FatalError("no memory")])
def test_what_does_not_come_in_the_stated_time_is_given_up_with_its_reason(error: Exception):
    async def story() -> World:
        world = World()
        world.start_failures["g2"] = [error] * 1000
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(PATIENCE - A_WHILE)
        assert world.reported[-1]["g2"] == ("failed", str(error) + TRIED, False)
        await asyncio.sleep(2 * A_WHILE)
        assert world.reported[-1]["g2"] == ("failed", str(error), True)
        tries = world.events.count("start g2")
        await asyncio.sleep(PATIENCE)
        assert world.events.count("start g2") == tries
        assert world.reported[-1]["g1"] == ("running", "", False)
        return world

    told(story())


@pytest.mark.parametrize("patience", [timedelta(0), timedelta(seconds=30), timedelta(hours=2)])
def test_how_long_that_is_may_be_said(patience: timedelta):
    async def story() -> World:
        world = World(Persistence(patience=patience))
        world.start_failures["g2"] = [AbsentError("/m is not a directory") for _ in range(10_000)]
        world.say(BUILDING)
        await world.supervisor.start()
        seconds = patience.total_seconds()
        if seconds:
            await asyncio.sleep(seconds - A_WHILE)
            minutes = f"{seconds / 60:g} minutes"
            reason = f"/m is not a directory (it is tried again; given up after {minutes})"
            assert world.reported[-1]["g2"] == ("failed", reason, False)
        await asyncio.sleep(2 * A_WHILE)
        assert world.reported[-1]["g2"] == ("failed", "/m is not a directory", True)
        return world

    told(story())


def test_what_has_worked_meanwhile_begins_its_patience_anew():
    async def story() -> World:
        world = World()
        world.say(BUILDING)
        await world.supervisor.start()
        for _ in range(20):
            await asyncio.sleep(PATIENCE / 2)
            world.components["g2"].ended.set_exception(FatalError("fenced"))
            await asyncio.sleep(A_WHILE)
        assert world.reported[-1]["g2"] == ("running", "", False)
        return world

    told(story())


def test_a_broker_or_redis_that_is_away_is_waited_for_without_an_end():
    async def story() -> World:
        world = World()
        world.start_failures["g2"] = [TransientError("Redis is away")] * 1000
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(2 * PATIENCE)
        assert world.reported[-1]["g2"] == ("failed", "Redis is away", False)
        world.start_failures.clear()
        await asyncio.sleep(A_WHILE)
        assert world.reported[-1]["g2"] == ("running", "", False)
        return world

    told(story())


def test_a_generation_that_fails_while_it_runs_is_stopped_and_started_again():
    async def story() -> World:
        world = World()
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(A_TICK)
        world.components["g2"].ended.set_exception(FatalError("fenced"))
        await asyncio.sleep(A_WHILE)
        assert world.supervisor.running.keys() == {"g1", "g2"}
        return world

    assert told(story()).events == ["start g1", "start g2", "stop g2", "start g2"]


def test_one_that_ends_by_itself_is_not_started_again():
    async def story() -> World:
        world = World()
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(A_TICK)
        world.components["g2"].ended.set_result(None)
        await asyncio.sleep(A_WHILE)
        return world

    assert told(story()).events == ["start g1", "start g2"]


def test_what_a_generation_still_waits_for_is_reported():
    async def story() -> World:
        world = World()
        world.missing["g1"] = "3 of 4 shards"
        await world.supervisor.start()
        await asyncio.sleep(A_TICK)
        world.missing.clear()
        await asyncio.sleep(REPORT.total_seconds())
        return world

    first, *_, last = told(story()).reported
    assert (first, last) == ({"g1": ("starting", "3 of 4 shards", False)}, {"g1": ("running", "", False)})


def test_the_live_generations_failure_ends_the_process():
    async def story() -> None:
        world = World()
        await world.supervisor.start()
        world.components["g1"].ended.set_exception(FatalError("of another model"))
        await world.supervisor.wait()

    with pytest.raises(FatalError, match="of another model"):
        virtually(story())


def test_so_does_one_that_is_promoted_while_it_fails():
    async def story() -> None:
        world = World()
        world.start_failures["g2"] = [FatalError("no such model")]
        world.say(BUILDING, BUILT)
        await world.supervisor.start()
        await asyncio.sleep(A_TICK)
        world.say(PROMOTED)
        await world.supervisor.wait()

    with pytest.raises(FatalError, match="no such model"):
        virtually(story())


async def test_a_live_generation_that_cannot_be_opened_keeps_the_worker_from_starting():
    world = World()
    world.start_failures["g1"] = [ConfigurationError("no such model")]
    with pytest.raises(ConfigurationError, match="no such model"):
        await world.supervisor.start()
    assert world.events == ["start g1", "stop g1"]


@pytest.mark.parametrize("board_is_away", [False, True])
def test_a_stop_stops_all_although_one_cannot_let_go_and_the_board_is_away(board_is_away: bool):
    async def story() -> World:
        world = World()
        world.stuck = {"g2"}
        world.say(BUILDING)
        await world.supervisor.start()
        await asyncio.sleep(A_TICK)
        waiting = asyncio.ensure_future(world.supervisor.wait())
        world.board_is_away = board_is_away
        await world.supervisor.stop()
        await waiting
        return world

    world = told(story())
    assert sorted(world.events[-2:]) == ["stop g1", "stop g2"]
    assert board_is_away or world.reported[-1] == {}


def test_a_board_that_is_away_for_a_while_ends_nobody():
    async def story() -> World:
        world = World()
        world.board_is_away = True
        await world.supervisor.start()
        await asyncio.sleep(A_WHILE)
        world.board_is_away = False
        await asyncio.sleep(A_WHILE)
        return world

    assert told(story()).reported[-1] == {"g1": ("running", "", False)}
