"""Every request is answered once, whoever is killed when; a generation is ready when it is whole."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import Command
from tests.unit.rollout.conftest import LIVE, NOW, World, asked, canary, model

BACKFILL = asked("backfill", "g2", model_id="m-1")


async def last(world, *requests, ticks=4):
    world.log += requests
    await world.worker().tick(ticks)
    return world.log[-1]


async def built(world):
    world.whole("g2")
    await last(world, BACKFILL, ticks=6)
    assert world.stages() == {"g1": "live", "g2": "ready"}


async def test_the_configured_generation_is_written_down_first(world):
    await world.worker().tick(3)
    assert [(each.action, each.generation, each.status) for each in world.log] == [("promote", "g1", "done")]
    assert world.state.live == "g1"


async def test_a_backfill_runs_until_the_generation_is_whole(world):
    answer = await last(world, BACKFILL)
    assert (answer.status, answer.model, answer.request_id) == ("running", model(), BACKFILL.request_id)
    assert world.topics == {"g2"}
    world.whole("g2", taken_over=1)
    await world.worker().tick(2)
    assert world.stages()["g2"] == "building"
    world.whole("g2")
    worker = world.worker()
    await worker.tick(2)
    assert (world.log[-1].status, world.log[-1].request_id) == ("done", BACKFILL.request_id)
    assert Command.decode(world.other[-1]).arguments == {"generation": "g2"}


@pytest.mark.parametrize(
    "lacking",
    [
        {"ready": 1},
        {"documents": 99},
        {"shard_lag": 101},
        {"embedder_lag": 101},
        {"running": LIVE.running - {"search/s"}},
        {"waiting": {"search/s": "the model is still being loaded"}},
        {"canaries": {}},
        {"canaries": {"c": canary(0.4)}},
        {"canaries": {"c": canary(0.9, ran_at=NOW - timedelta(seconds=1))}},
    ],
)
async def test_what_is_not_whole_is_not_ready(world, lacking):
    await last(world, BACKFILL)
    world.whole("g2", **lacking)
    await world.worker().tick(4)
    assert world.stages()["g2"] == "building"


async def test_a_canary_that_fails_on_the_live_generation_too_holds_nothing_up(world):
    world.evidence["g1"] = replace(LIVE, canaries={"c": canary(0.2)})
    await last(world, BACKFILL)
    world.whole("g2", canaries={"c": canary(0.3)})
    await world.worker().tick(4)
    assert world.stages()["g2"] == "ready"


async def test_products_on_their_way_may_be_missing(world):
    await last(world, BACKFILL)
    world.whole("g2", documents=90, embedder_lag=10)
    await world.worker().tick(4)
    assert world.stages()["g2"] == "ready"


async def test_a_model_that_a_worker_refuses_is_given_up_with_an_alert(world):
    await last(world, BACKFILL)
    world.whole("g2", given_up={"search": "auto_map names code to run"})
    worker = world.worker()
    await worker.tick(3)
    assert (world.log[-1].status, world.log[-1].request_id) == ("refused", BACKFILL.request_id)
    assert "auto_map" in world.log[-1].reason
    assert world.stages() == {"g1": "live", "g2": "retired"}
    assert b"rollout:g2" in world.other[-1]
    world.evidence.pop("g2")
    await worker.tick()
    assert world.topics == set()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (asked("backfill", "g1", model_id="m-1"), "there is a generation g1"),
        (asked("backfill", "g2", model_id="m-9"), "no model m-9"),
        (asked("backfill", "g2"), "none was named"),
        (asked("backfill", "g2", model_id="reranker"), "is a reranker"),
        (asked("backfill", "g2", model_id="bad"), "worse than the live one"),
        (asked("promote", "g2"), "there is no generation g2"),
        (asked("promote", "g1"), "live already"),
        (asked("rollback", "g1"), "no generation to go back to"),
        (asked("retire", "g1"), "promote another one first"),
        (asked("retire", "g2"), "there is no generation"),
        (asked("shadow", "g1"), "not built yet"),
        (asked("ramp", "g1", weights={"g1": 1.0}), "not built yet"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_reason(world, request_, reason):
    world.models["reranker"] = model("reranker", kind="reranker")
    world.models["bad"] = model("bad", verdict="refused", reasons=("worse than the live one",))
    answer = await last(world, request_)
    assert (answer.status, answer.request_id) == ("refused", request_.request_id)
    assert reason in answer.reason


async def test_a_refused_model_is_taken_when_it_is_forced_but_never_one_that_is_unfit(world):
    world.models["bad"] = model("bad", verdict="refused")
    world.unfit = "pytorch_model.bin"
    answer = await last(world, asked("backfill", "g2", model_id="bad", force=True))
    assert (answer.status, answer.reason, world.topics) == ("refused", "pytorch_model.bin", set())
    [alert] = world.alerts("rollout:g2")
    assert "generation g2 is not built: pytorch_model.bin" in alert.summary
    world.unfit = None
    again = asked("backfill", "g2", "again", model_id="bad", force=True)
    assert (await last(world, again)).status == "running"


async def test_one_is_built_at_a_time_and_promoted_only_when_ready(world):
    await last(world, BACKFILL)
    for request, reason in (
        (asked("backfill", "g3", model_id="m-1"), "g2 is being built"),
        (asked("promote", "g2"), "g2 is building, not ready"),
    ):
        assert reason in (await last(world, request)).reason
    assert (await last(world, asked("retire", "g2"))).reason == "it was retired before it was ready"
    assert world.stages() == {"g1": "live", "g2": "retired"}
    assert "never used" in (await last(world, asked("backfill", "g2", "again", model_id="m-1"))).reason


async def test_promoted_and_rolled_back_by_one_message_each(world):
    await built(world)
    assert (await last(world, asked("promote", "g2"))).status == "done"
    assert (world.state.live, world.stages()["g1"]) == ("g2", "warm")
    assert (await last(world, asked("rollback", "g2"))).status == "done"
    assert (world.state.live, world.stages()["g2"]) == ("g1", "warm")
    assert (await last(world, asked("promote", "g2", "again"))).status == "done"
    assert (await last(world, asked("retire", "g1"))).status == "done"
    assert "no generation to go back to" in (await last(world, asked("rollback", "g2", "more"))).reason


requests = st.one_of(
    st.builds(
        asked,
        st.just("backfill"),
        st.sampled_from(["g2", "g3"]),
        st.uuids().map(str),
        model_id=st.just("m-1"),
    ),
    st.builds(
        asked,
        st.sampled_from(["promote", "rollback", "retire"]),
        st.sampled_from(["g1", "g2", "g3"]),
        st.uuids().map(str),
    ),
)
steps = st.one_of(requests, st.sampled_from(["tick", "follow", "zombie", "kill"]))


@settings(max_examples=60, deadline=None)
@given(life=st.lists(steps, max_size=30))
def test_every_request_is_answered_once_whoever_is_killed_or_comes_back(life):
    """A zombie is a worker that looked at the log's end, slept, and answers after another one did."""

    async def live():
        world = World()
        for name in ("g2", "g3"):
            world.whole(name)
        worker, zombie = world.worker(), world.worker()
        for step in life:
            match step:
                case "tick":
                    await worker.tick()
                case "follow":
                    zombie.follow()
                case "zombie":
                    await _late(zombie)
                case "kill":
                    worker = world.worker()
                case request:
                    world.log.append(request)
        await world.worker().tick(2 * len(life) + 6)
        return world

    world = asyncio.run(live())
    last_words = world.worker()
    last_words.follow()
    assert last_words.ledger.pending == ()
    assert last_words.ledger.running == frozenset()
    state = world.state
    assert [each.name for each in state.of("live")] == [state.live]


async def _late(zombie):
    """Tick, as if the log still ended where the zombie last saw it."""
    edges = zombie.world.edges

    async def then(_):
        return 0, zombie.next_offset

    zombie.world.edges = then
    try:
        await zombie.controller.tick(1)
    finally:
        zombie.world.edges = edges
