"""One process serves many generations: what fails, starts and stops of one is nothing to the others."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from schemas.control import Model, Rollout
from shared.clock import SystemClock
from shared.errors import ConfigurationError, FatalError
from shared.generations.state import Generations
from shared.generations.status import GenerationStatusBoard
from shared.generations.supervisor import GenerationSupervisor, Persistence
from shared.settings import Settings
from shared.state.redis import connect

pytestmark = pytest.mark.connected
NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = Model(
    model_id="m",
    fingerprint="0" * 16,
    location="/m",
    dimensions=3,
    verdict="admitted",
    created_at=NOW,
)


class Scripted:
    """Does as its world says."""

    def __init__(self, world, generation):
        self.world, self.name = world, generation.name
        self.stages = [generation.stage]
        self.failed = asyncio.get_running_loop().create_future()

    async def start(self):
        self.world.events.append(f"start {self.name}")
        if error := self.world.errors.get(self.name):
            raise error
        self.world.components[self.name] = self

    async def stop(self):
        self.world.events.append(f"stop {self.name}")

    async def wait(self):
        await asyncio.shield(self.failed)

    def at(self, stage):
        self.stages.append(stage)

    def missing(self):
        return self.world.missing.get(self.name)


class World:
    """What `rollout.v1` says, and what became of the components."""

    def __init__(self, redis, settings):
        self.generations = Generations().founded("g1")
        self.events, self.components, self.errors, self.missing = [], {}, {}, {}
        self.statuses = GenerationStatusBoard(redis, settings, worker="dummy", clock=SystemClock())
        self.group = GenerationSupervisor(
            self,
            lambda generation: Scripted(self, generation),
            self.statuses,
            remove=self.remove,
            persistence=Persistence(pause=timedelta(milliseconds=20)),
        )

    async def remove(self, generation):
        self.events.append(f"remove {generation.name}")

    def say(self, action, generation, status="done"):
        answer = Rollout(
            request_id="r",
            status=status,
            action=action,
            generation=generation,
            model=MODEL if status == "running" else None,
            requested_at=NOW,
        )
        self.generations = self.generations.after(answer)

    async def until(self, holds):
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - the components tell nobody
                await asyncio.sleep(0.01)

    async def reported(self, wanted):
        """Return when the reports are these: {generation: (status, reason, refused)}."""
        async with asyncio.timeout(20):
            reports = None
            while reports != wanted:
                statuses = await self.statuses.reports()
                reports = {each.generation: (each.status, each.reason, each.refused) for each in statuses}
                await asyncio.sleep(0.01)


@pytest.fixture
async def world(redis_url, namespace):
    settings = Settings(redis=redis_url, namespace=namespace)
    redis = connect(settings)
    world = World(redis, settings)
    yield world
    await world.group.stop()
    await redis.aclose()


async def test_generations_come_and_go_while_the_live_one_runs_on(world):
    await world.group.start()
    assert world.events == ["start g1"]
    world.missing["g2"] = "the model is still being loaded"
    world.say("backfill", "g2", "running")
    await world.reported(
        {"g1": ("running", "", False), "g2": ("starting", "the model is still being loaded", False)}
    )
    world.missing.clear()
    world.say("backfill", "g2")
    world.say("promote", "g2")
    await world.until(lambda: world.components["g2"].stages[-1] == "live")
    assert world.components["g1"].stages[-1] == "warm"
    world.say("retire", "g1")
    await world.until(lambda: "remove g1" in world.events)
    assert world.events == ["start g1", "start g2", "stop g1", "remove g1"]
    assert set(world.group.running) == {"g2"}
    await world.reported({"g2": ("running", "", False)})


async def test_a_model_that_is_refused_is_said_so_and_takes_nobody_down(world):
    await world.group.start()
    world.errors["g2"] = ConfigurationError("auto_map")
    world.say("backfill", "g2", "running")
    await world.reported({"g1": ("running", "", False), "g2": ("failed", "auto_map", True)})
    assert not asyncio.ensure_future(world.group.wait()).done()
    assert set(world.group.running) == {"g1"}


async def test_what_another_failure_ended_is_started_again(world):
    await world.group.start()
    world.say("backfill", "g2", "running")
    await world.until(lambda: "g2" in world.group.running)
    first = world.components["g2"]
    first.failed.set_exception(FatalError("fenced"))
    await world.until(lambda: world.components["g2"] is not first)
    assert world.events == ["start g1", "start g2", "stop g2", "start g2"]
    await world.reported({"g1": ("running", "", False), "g2": ("running", "", False)})


async def test_the_live_generations_failure_stops_the_worker(world):
    await world.group.start()
    world.components["g1"].failed.set_exception(FatalError("of another model"))
    with pytest.raises(FatalError, match="of another model"):
        async with asyncio.timeout(20):
            await world.group.wait()


async def test_a_live_generation_that_cannot_be_opened_keeps_the_worker_from_starting(world):
    world.errors["g1"] = ConfigurationError("no such model")
    with pytest.raises(ConfigurationError, match="no such model"):
        await world.group.start()
    assert world.events == ["start g1", "stop g1"]
