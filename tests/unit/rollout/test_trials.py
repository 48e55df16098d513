"""A trial is begun by one message, ends as its sessions say, and whoever is killed when changes nothing."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import TrialTerms
from schemas.trials import TrialSession
from services.rollout.settings import TrialSettings
from tests.unit.rollout.conftest import NOW, World, asked, model

BACKFILL = asked("backfill", "g2", model_id="m-1")
TRIAL = asked("trial", "g2", trial=TrialTerms(share=0.5, promote="when asked"))


async def last(world, *requests, ticks=6):
    world.log += requests
    await world.worker().tick(ticks)
    return world.log[-1]


async def begun(world, request=TRIAL, verdict="undecided"):
    world.models["m-1"] = model(verdict=verdict)
    world.whole("g2")
    await last(world, BACKFILL)
    assert world.stages() == {"g1": "live", "g2": "ready"}
    answer = await last(world, request)
    assert answer.status == "running", answer.reason
    return answer


def spoken(score, number=4_000, *, against=10):
    """Return sessions of that score, one in `against` of the opposite, every other one interleaved."""
    return [
        TrialSession(
            trial="trial-g2",
            session=f"{index:016x}",
            client=f"{index:016x}",
            arm="interleaved" if index % 2 else "rest",
            began_at=NOW,
            answers=1,
            drafted=index % 2,
            score=(score if index // 2 % against else -score) * (index % 2),
            acted=2,
            places=(5, 5) if index % 2 else (0, 0),
        )
        for index in range(number)
    ]


async def test_a_trial_runs_on_the_terms_of_its_answer(world):
    answer = await begun(world)
    assert (answer.trial.share, answer.trial.objective["purchase"]) == (0.5, 10.0)
    assert 0 < answer.trial.error < 0.1, "its part of what a year may err"
    assert (world.state.trial.name, world.state.trial.candidate) == ("trial-g2", "g2")
    assert [alert.status for alert in world.alerts("trial:g2")] == ["firing"]
    await world.worker().tick(3)
    assert world.state.trial is not None
    assert world.stages() == {"g1": "live", "g2": "ready"}


async def test_who_names_no_terms_gets_those_of_the_settings(world):
    world.trials = TrialSettings(share=0.2, days=7, promote="at once", window=timedelta(minutes=5))
    terms = (await begun(world, asked("trial", "g2"))).trial
    assert (terms.share, terms.days, terms.promote, terms.window_seconds) == (0.2, 7, "at once", 300)


async def test_what_shoppers_prefer_waits_for_a_person_when_that_is_agreed(world):
    await begun(world)
    world.sessions = spoken(0.8)
    answer = await last(world)
    assert (answer.action, answer.status, answer.end) == ("trial", "done", "better")
    assert "interleaved sessions" in answer.reason
    assert world.state.live == "g1"
    (alert,) = world.alerts("trial-better:g2")
    assert (alert.severity, "headrace rollout promote g2" in alert.action) == ("info", True)
    assert world.alerts("trial:g2")[-1].status == "resolved"
    assert (await last(world, asked("promote", "g2"))).status == "done"
    assert world.state.live == "g2"


async def preferred(world):
    await begun(world)
    world.sessions = spoken(0.8)
    await last(world)
    assert [alert.status for alert in world.alerts("trial-better:g2")] == ["firing"]
    await world.worker().tick(4)
    assert len(world.alerts("trial-better:g2")) == 1, "nobody has answered it"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (asked("promote", "g2"), "g2 is live"),
        (asked("retire", "g2"), "g2 was dropped"),
        (asked("trial", "g2", "again", trial=TrialTerms()), "g2 is tried anew"),
    ],
)
async def test_the_request_to_promote_ends_with_its_answer_and_that_is_said_once(world, answer, why):
    await preferred(world)
    world.time += timedelta(minutes=5)
    await last(world, answer)
    first, *ends = world.alerts("trial-better:g2")
    assert [alert.status for alert in ends] == ["resolved"]
    assert ends[0].summary.startswith(why)
    assert (ends[0].started_at, ends[0].updated_at) == (first.started_at, world.time)
    await world.worker().tick(4)
    assert len(world.alerts("trial-better:g2")) == 2


async def test_a_request_to_promote_is_not_said_twice_while_the_topic_is_behind(world):
    await preferred(world)
    behind = world.requests_to_promote()
    world.requests_to_promote = lambda: behind
    await last(world, asked("promote", "g2"), ticks=8)
    assert [alert.status for alert in world.alerts("trial-better:g2")] == ["firing", "resolved"]


async def test_what_a_killed_worker_left_open_is_resolved_by_the_next(world):
    await preferred(world)
    alerts = list(world.other)
    await last(world, asked("promote", "g2"))
    world.other[:] = alerts  # it was answered, and the worker gone before it said so
    await world.worker().tick(2)
    assert [alert.status for alert in world.alerts("trial-better:g2")] == ["firing", "resolved"]


async def test_another_generation_that_goes_live_answers_no_request(world):
    await preferred(world)
    world.whole("g3")
    await last(world, asked("backfill", "g3", model_id="m-1"), ticks=8)
    await last(world, asked("promote", "g3", force=True))
    assert world.state.live == "g3"
    assert [alert.status for alert in world.alerts("trial-better:g2")] == ["firing"]


async def test_what_shoppers_prefer_is_promoted_at_once_when_that_is_agreed(world):
    await begun(world, asked("trial", "g2", trial=TrialTerms(promote="at once")))
    world.sessions = spoken(0.8)
    await last(world)
    assert (world.state.live, world.stages()["g1"]) == ("g2", "warm")
    assert world.alerts("trial-better:g2") == []


@pytest.mark.parametrize(
    ("sessions", "end"),
    [
        (spoken(-0.8), "worse"),
        (spoken(0.0, 60_000), "no difference"),
        ([each.model_copy(update={"drafted": 0}) for each in spoken(0.8)], "worse"),
        ([each.model_copy(update={"places": (5, 2)}) for each in spoken(0.8)], "void"),
        ([each for each in spoken(0.8) if each.arm == "interleaved"], "void"),
    ],
    ids=["worse", "no difference", "late", "unequal places", "not in the ratio"],
)
async def test_whatever_else_sessions_say_the_live_one_stays(world, sessions, end):
    await begun(world, asked("trial", "g2", trial=TrialTerms(promote="at once")))
    world.sessions = sessions
    answer = await last(world)
    assert (answer.status, answer.end) == ("done", end)
    assert world.state.live == "g1"
    assert (world.alerts("trial:g2")[-1].status, world.alerts("trial-better:g2")) == ("resolved", [])
    assert "undecided" in (await last(world, asked("promote", "g2"))).reason
    assert (await last(world, asked("promote", "g2", "forced", force=True))).status == "done"


async def test_a_trial_ends_when_its_days_are_over(world):
    await begun(world)
    world.sessions = spoken(0.0, 200)
    world.time = NOW + timedelta(days=28)
    answer = await last(world)
    assert (answer.end, "100 interleaved sessions" in answer.reason) == ("not enough sessions", True)


async def test_what_nobody_has_read_decides_nothing(world):
    await begun(world)
    world.sessions, world.time = None, NOW + timedelta(days=100)
    await last(world)
    assert world.state.trial is not None


async def test_one_message_stops_it(world):
    await begun(world)
    world.sessions = spoken(0.1, 60)
    await last(world, asked("stop", "g2"))
    stopped, ended = world.log[-2:]
    assert (stopped.action, stopped.status) == ("stop", "done")
    assert (ended.request_id, ended.status, ended.end) == ("trial-g2", "done", "stopped")
    assert "30 interleaved sessions" in ended.reason
    assert (world.state.trial, world.stages()["g2"]) == (None, "ready")
    assert (await last(world, asked("stop", "g2", "again"))).reason == "no trial of g2 runs"


@pytest.mark.parametrize("request_", [asked("promote", "g2", force=True), asked("retire", "g2")])
async def test_a_trial_whose_generations_are_others_now_is_void(world, request_):
    await begun(world)
    await last(world, request_)
    assert (world.log[-1].request_id, world.log[-1].end) == ("trial-g2", "void")
    assert world.alerts("trial:g2")[-1].status == "resolved"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (asked("trial", "g2", "again"), "g2 is being tried"),
        (asked("trial", "g3"), "g2 is being tried"),
        (asked("promote", "g2"), "lets shoppers decide"),
        (asked("stop", "g1"), "no trial of g1 runs"),
    ],
)
async def test_what_cannot_be_while_a_trial_runs_is_refused(world, request_, reason):
    await begun(world)
    answer = await last(world, request_)
    assert (answer.status, reason in answer.reason) == ("refused", True), answer.reason
    assert world.state.trial is not None


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (asked("trial", "g1"), "g1 is live already"),
        (asked("trial", "g9"), "there is no generation g9"),
        (asked("stop", "g2"), "no trial of g2 runs"),
    ],
)
async def test_what_cannot_be_tried_is_refused(world, request_, reason):
    assert reason in (await last(world, request_)).reason


async def test_what_is_still_built_is_not_tried(world):
    await last(world, BACKFILL)
    assert "g2 is building" in (await last(world, TRIAL)).reason


async def test_a_model_that_was_admitted_needs_no_trial(world):
    await begun(world, verdict="admitted")
    await last(world, asked("stop", "g2"))
    assert (await last(world, asked("promote", "g2"))).status == "done"


async def test_the_trials_of_a_year_may_not_err_more_than_was_stated(world):
    await begun(world)
    errors = []
    for number in range(40):
        await last(world, asked("stop", "g2", f"stop-{number}"))
        answer = await last(world, asked("trial", "g2", f"trial-{number}"))
        if answer.status == "refused":
            break
        errors.append(answer.trial.error)
    assert "used up" in answer.reason
    assert sum(errors) < world.trials.errors_a_year
    assert errors == sorted(errors, reverse=True)
    world.time = NOW + timedelta(days=366)
    assert (await last(world, asked("trial", "g2", "next-year"))).status == "running"


async def test_each_look_is_told_once_by_one_worker(world):
    await begun(world)
    worker = world.worker()
    for number in (0, 10, 1_000, 1_200):
        world.sessions = spoken(0.5, number, against=2)
        await worker.tick(2)
    looks = [alert.evidence.get("looks", 0) for alert in world.alerts("trial:g2")]
    assert looks == sorted(looks)
    assert world.alerts("trial:g2")[-1].status == "updated"
    assert world.alerts("trial:g2")[-1].evidence["places_live"] > 0


steps = st.sampled_from(["tick", "follow", "zombie", "kill", "stop", "sessions", "promote", "retire"])


@settings(max_examples=60, deadline=None)
@given(life=st.lists(steps, max_size=25), score=st.sampled_from([0.8, -0.8]))
def test_a_trial_ends_once_and_the_same_whoever_is_killed_or_comes_back(life, score):
    world = World()
    asyncio.run(live(world, life, score))
    ledger = world.worker()
    ledger.follow()
    assert (ledger.ledger.pending, ledger.ledger.running) == ((), frozenset())
    (trial,) = world.state.past
    assert trial.end in {"better" if score > 0 else "worse", "stopped", "void"}
    if trial.end == "better" and "retire" not in life:
        assert world.state.live == "g2"


async def live(world, life, score):
    await begun(world, asked("trial", "g2", trial=TrialTerms(promote="at once")))
    worker, zombie = world.worker(), world.worker()
    for number, step in enumerate(life):
        match step:
            case "tick":
                await worker.tick()
            case "follow":
                zombie.follow()
            case "zombie":
                await late(zombie)
            case "kill":
                worker = world.worker()
            case "sessions":
                world.sessions = spoken(score)
            case action:
                world.log.append(asked(action, "g2", f"{action}-{number}"))
    world.sessions = spoken(score)
    await world.worker().tick(3 * len(life) + 8)


async def late(zombie):
    """Tick, as if the log still ended where the zombie last saw it."""
    edges = zombie.world.edges

    async def then(_):
        return 0, zombie.next_offset

    zombie.world.edges = then
    try:
        await zombie.controller.tick(1)
    finally:
        zombie.world.edges = edges
