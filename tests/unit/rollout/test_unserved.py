"""A generation that a worker has given up: one alert while it is so, and no search is switched to it."""

from datetime import timedelta

import pytest

from schemas.alerts import Alert
from services.rollout.domain.readiness import GenerationEvidence
from services.rollout.domain.unserved import changes, unanswerable
from services.rollout.unserved import UnservedGenerations
from shared.generations.state import Generation, Generations
from shared.generations.status import GenerationStatus
from tests.unit.rollout.conftest import NOW, World, asked
from tests.unit.rollout.test_controller import built

GONE = "/models/m-1 is not a directory"
LATER = NOW + timedelta(minutes=1)


def state(**stages) -> Generations:
    known = {name: Generation(name=name, stage=stage) for name, stage in stages.items()}
    return Generations(live="g1", known={"g1": Generation(name="g1", stage="live"), **known})


def status(worker="search", generation="g2", **changed) -> GenerationStatus:
    return GenerationStatus(generation=generation, status="running", worker=worker).model_copy(update=changed)


def given_up(worker="search", reason=GONE) -> GenerationStatus:
    return status(worker, status="failed", reason=reason, refused=True)


def fired() -> Alert:
    [alert] = changes(state(g2="warm"), [given_up()], [], now=NOW)
    return alert


@pytest.mark.parametrize("stage", ["ready", "warm"])
def test_one_alert_says_who_has_given_it_up_and_why(stage):
    [alert] = changes(state(g2=stage), [status("embedder"), given_up()], [], now=NOW)
    assert (alert.alert_key, alert.status, alert.generation) == ("generation-unserved:g2", "firing", "g2")
    assert alert.summary == f"generation g2 was given up by search: {GONE}"
    assert not changes(state(g2=stage), [given_up()], [alert], now=LATER)


@pytest.mark.parametrize("stage", ["building", "retired", "live"])
def test_of_others_the_roll_out_or_the_process_itself_says_so(stage):
    assert not changes(state(g2=stage), [given_up()], [], now=NOW)


def test_what_is_only_waited_for_is_no_alert():
    waiting = status(status="failed", reason=GONE)
    assert not changes(state(g2="warm"), [waiting], [], now=NOW)


def test_another_reason_is_told_under_the_same_alert():
    [alert] = changes(state(g2="warm"), [given_up(reason="auto_map")], [fired()], now=LATER)
    assert (alert.status, alert.started_at, alert.updated_at) == ("updated", NOW, LATER)
    assert "auto_map" in alert.summary


@pytest.mark.parametrize(
    ("generations", "statuses"),
    [
        (state(g2="warm"), [status("search")]),
        (state(g2="retired"), []),
        (state(g2="live"), [status("search")]),
        (state(), []),
    ],
)
def test_it_is_over_when_the_generation_is_served_or_no_longer_kept(generations, statuses):
    [alert] = changes(generations, statuses, [fired()], now=LATER)
    assert (alert.status, alert.alert_key) == ("resolved", "generation-unserved:g2")
    assert not changes(generations, statuses, [alert], now=LATER)


def test_while_nobody_reports_anything_nothing_is_said_to_be_over():
    assert not changes(state(g2="warm"), [], [fired()], now=LATER)
    still = [status("embedder"), given_up()]
    assert not changes(state(g2="warm"), still, [fired()], now=LATER)


async def test_the_worker_publishes_what_there_is_to_say():
    class Rollouts:
        generations = state(g2="ready")

    class Board:
        async def reports(self):
            return [given_up()]

    world = World()
    worker = UnservedGenerations(
        Rollouts(), Board(), lambda: world.alerts("generation-unserved:g2"), publisher=world, clock=world
    )
    await worker.tick(1)
    await worker.tick(1)
    assert [alert.status for alert in world.alerts("generation-unserved:g2")] == ["firing"]


@pytest.mark.parametrize(
    ("given_up", "running", "reason"),
    [
        ({"search": "gone"}, {"embedder/e"}, "g2 cannot answer, a worker has given it up: search: gone"),
        ({"embedder": "gone"}, {"search/s"}, "g2 cannot answer, a worker has given it up: embedder: gone"),
        ({"embedder": "gone", "search": "gone"}, {"embedder/f", "search/s"}, None),
        ({}, set(), None),
    ],
)
def test_a_generation_answers_as_long_as_a_worker_of_each_kind_has_it(given_up, running, reason):
    evidence = GenerationEvidence(
        generation="g2", partitions=1, sources=1, given_up=given_up, running=frozenset(running)
    )
    assert unanswerable(evidence) == reason


@pytest.mark.parametrize("action", ["promote", "trial"])
async def test_searches_are_not_switched_to_what_no_search_worker_can_embed_for(world, action):
    await built(world)
    world.whole("g2", given_up={"search": GONE}, running=frozenset({"embedder/e"}))
    world.log.append(asked(action, "g2"))
    await world.worker().tick(2)
    answer = world.log[-1]
    assert answer.status == "refused"
    assert answer.reason == f"g2 cannot answer, a worker has given it up: search: {GONE}"
    assert world.state.live == "g1"


async def test_nor_are_they_rolled_back_to_it(world):
    await built(world)
    world.log.append(asked("promote", "g2"))
    await world.worker().tick(2)
    assert world.state.live == "g2"
    world.whole("g1", given_up={"search": GONE}, running=frozenset())
    world.log.append(asked("rollback", "g1"))
    await world.worker().tick(2)
    assert "g1 cannot answer" in world.log[-1].reason
    assert world.state.live == "g2"
