"""The state of all generations is a fold of the answers: total, and the same however often they are said."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Model, Rollout, TrialTerms
from shared.generations.state import Generations, Ledger, fold

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = Model(
    model_id="m-1",
    fingerprint="0" * 16,
    location="/models/m-1",
    dimensions=3,
    verdict="admitted",
    created_at=NOW,
)
names = st.sampled_from(["g1", "g2", "g3"])
messages = st.builds(
    Rollout,
    request_id=st.sampled_from(["a", "b", "c", "d", "e"]),
    status=st.sampled_from(["requested", "running", "done", "refused"]),
    action=st.sampled_from(["backfill", "shadow", "trial", "stop", "ramp", "promote", "rollback", "retire"]),
    generation=names,
    model=st.sampled_from([None, MODEL]),
    requested_at=st.just(NOW),
)


def said(action: str, generation: str, status: str = "done", request_id: str | None = None) -> Rollout:
    model = MODEL if (action, status) == ("backfill", "running") else None
    return Rollout(
        request_id=request_id or f"{action}-{generation}",
        status=status,
        action=action,
        generation=generation,
        model=model,
        requested_at=NOW,
    )


def ledger(*answers: Rollout) -> Ledger:
    return fold(enumerate([said("promote", "g1", request_id="founding"), *answers]))


def state(*answers: Rollout) -> Generations:
    return ledger(*answers).generations


BUILT = (said("backfill", "g2", "running"), said("backfill", "g2"))
RUNNING = said("trial", "g2", "running").model_copy(update={"trial": TrialTerms(share=0.3)})
BEFORE = ((), (said("promote", "g1"), *BUILT, RUNNING))


def stages(found: Generations) -> dict[str, str]:
    return {name: each.stage for name, each in found.known.items()}


@given(log=st.lists(messages, max_size=25))
def test_of_whatever_is_said_there_is_one_live_generation_and_a_warm_one_to_go_back_to(log):
    found = fold(enumerate(log)).generations.founded("g1")
    assert [each.name for each in found.of("live")] == [found.live]
    assert found.previous is None or found.known[found.previous].stage == "warm"
    assert found.previous != found.live
    assert all(each.model for each in found.of("building", "ready"))


@given(log=st.lists(messages, max_size=25))
def test_a_trial_is_of_the_live_generation_and_of_one_that_could_be(log):
    ledger = Ledger()
    for offset, message in enumerate([*BEFORE[1], *log]):
        before, ledger = ledger, ledger.take(message, offset=offset)
        trial = ledger.generations.trial
        if trial is not None:
            assert trial.live == ledger.generations.live
            assert trial.candidate in {each.name for each in ledger.generations.of("ready", "warm")}
            assert trial.name in ledger.running
            assert before.generations.trial in (trial, None), "one at a time"


@given(before=st.sampled_from(BEFORE), log=st.lists(messages, max_size=15), data=st.data())
def test_messages_that_come_again_later_change_nothing(before, log, data):
    log = [*before, *log]
    again = list(log)
    for message in log:
        place = data.draw(st.integers(again.index(message) + 1, len(again)))
        again.insert(place, message)
    assert fold(enumerate(again)) == fold(enumerate(log))


@given(log=st.lists(messages, max_size=15))
def test_a_request_waits_until_its_first_answer_and_an_answer_closes_it_for_ever(log):
    ledger = fold(enumerate(log))
    answered = {each.request_id for each in log if each.status != "requested"}
    closed = {each.request_id for each in log if each.status in {"done", "refused"}}
    asked = {each.request_id for each in log if each.status == "requested"}
    assert {each.request_id for each in ledger.pending} == asked - answered
    assert ledger.closed == closed
    assert ledger.running == answered - closed


def test_a_request_without_an_id_is_named_by_its_place():
    [request] = Ledger().take(Rollout(action="promote", generation="g2", requested_at=NOW), offset=7).pending
    assert request.request_id == "rollout.v1-7"


def test_while_nothing_was_built_the_configuration_decides():
    assert Generations().founded("g1").live == "g1"
    assert state().founded("g5").live == "g5"
    assert stages(state().founded("g5")) == {"g5": "live"}
    assert state(*BUILT).founded("g5").live == "g1"


def test_a_generation_is_built_promoted_rolled_back_and_retired():
    assert stages(state(BUILT[0])) == {"g1": "live", "g2": "building"}
    assert state(BUILT[0]).known["g2"].source == "g1"
    assert stages(state(*BUILT)) == {"g1": "live", "g2": "ready"}
    promoted = state(*BUILT, said("promote", "g2"))
    assert (promoted.live, promoted.previous, stages(promoted)) == ("g2", "g1", {"g1": "warm", "g2": "live"})
    for named in ("g1", "g2"):
        back = state(*BUILT, said("promote", "g2"), said("rollback", named))
        assert (back.live, back.previous, stages(back)) == ("g1", "g2", {"g1": "live", "g2": "warm"})
    over = state(*BUILT, said("promote", "g2"), said("retire", "g1"))
    assert (over.previous, stages(over), list(over.served)) == (None, {"g1": "retired", "g2": "live"}, ["g2"])
    assert state(*BUILT, said("promote", "g2"), said("retire", "g2")).live == "g2"


def test_a_backfill_that_fails_is_given_up_with_its_reason():
    refused = said("backfill", "g2", "refused").model_copy(update={"reason": "auto_map"})
    assert state(BUILT[0], refused).known["g2"].reason == "auto_map"
    assert stages(state(BUILT[0], refused)) == {"g1": "live", "g2": "retired"}
    other = refused.model_copy(update={"request_id": "another"})
    assert stages(state(BUILT[0], other)) == {"g1": "live", "g2": "building"}


def test_a_trial_runs_from_its_first_answer_to_its_last_and_its_candidate_stays_ready():
    asked = said("trial", "g2", "requested")
    assert state(*BUILT, asked).trial is None
    trial = state(*BUILT, asked, RUNNING).trial
    assert trial is not None
    assert (trial.name, trial.live, trial.candidate, trial.began_at) == ("trial-g2", "g1", "g2", NOW)
    assert trial.terms == TrialTerms(share=0.3)
    assert stages(state(*BUILT, RUNNING)) == stages(state(*BUILT))
    for last in ("done", "refused"):
        over = state(*BUILT, RUNNING, said("trial", "g2", last))
        assert over == state(*BUILT).model_copy(update={"past": over.past})
        assert [(past.name, past.end) for past in over.past] == [("trial-g2", "void")], "no end was said"
    better = said("trial", "g2").model_copy(update={"end": "better"})
    assert [past.end for past in state(*BUILT, RUNNING, better).past] == ["better"]
    assert state(*BUILT, RUNNING, said("trial", "g2", request_id="another")).trial == trial


@pytest.mark.parametrize(
    "end",
    [said("stop", "g2"), said("promote", "g2"), said("rollback", "g2"), said("retire", "g2")],
    ids=lambda end: end.action,
)
def test_a_trial_leaves_the_state_when_it_is_stopped_or_its_generations_are_not_what_they_were(end):
    over = state(*BUILT, RUNNING, end)
    assert over == state(*BUILT, end).model_copy(update={"past": over.past})
    assert [past.end for past in over.past] == ["stopped" if end.action == "stop" else "void"]
    assert ledger(*BUILT, RUNNING, end).followed_trial == over.past[0], "its own final answer is to come"
    assert ledger(*BUILT, RUNNING, end, said("trial", "g2")).followed_trial is None
    again = state(*BUILT, RUNNING, end, RUNNING)
    assert again.trial is None, "what began once does not begin again"


def test_only_what_could_be_live_is_tried_and_one_at_a_time():
    other = [said("backfill", "g3", "running"), said("backfill", "g3")]
    third = said("trial", "g3", "running")
    assert state(BUILT[0], RUNNING).trial is None, "still building"
    assert state(*BUILT, said("trial", "g1", "running")).trial is None, "live"
    assert state(*BUILT, said("trial", "g9", "running")).trial is None, "unknown"
    assert state(*BUILT, *other, RUNNING, third).trial == state(*BUILT, *other, RUNNING).trial
    assert state(*BUILT, *other, RUNNING, said("stop", "g3")).trial is not None, "not the one that runs"
    assert state(*BUILT, *other, RUNNING, said("stop", "g2"), third).trial.candidate == "g3"
    warm = state(*BUILT, said("promote", "g2"), said("trial", "g1", "running")).trial
    assert (warm.live, warm.candidate) == ("g2", "g1"), "a warm one may be tried again"
