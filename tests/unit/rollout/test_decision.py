"""What keeps a request from being granted, and the sentence that says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rollout.domain.decision import objection
from shared.generations.state import SWITCHABLE, Generation, Generations
from tests.unit.rollout.conftest import asked, model

SOURCE = {"building": "g1"}


def state(previous=None, live="g1", **stages):
    """Return generations in these stages; what is being built is built from `g1`."""
    known = {
        name: Generation(name=name, stage=stage, source=SOURCE.get(stage))
        for name, stage in {live: "live", **stages}.items()
    }
    return Generations(live=live, previous=previous, known=known)


def refused(request, state, of_model=None):
    return objection(state, request, of_model)


BACKFILL = asked("backfill", "g2", model_id="m-1")


def test_a_backfill_under_a_new_name_with_an_encoder_is_granted():
    assert refused(BACKFILL, state(), model()) is None


@pytest.mark.parametrize("stage", ["building", "ready", "warm", "retired"])
def test_a_name_is_never_used_twice_whatever_became_of_it(stage):
    assert refused(BACKFILL, state(g2=stage), model()) == (
        f"there is a generation g2 ({stage}): take a name that was never used"
    )


def test_one_generation_is_built_at_a_time():
    assert refused(BACKFILL, state(g3="building", g4="ready"), model()) == (
        "g3 is being built: wait until it is ready, or retire it"
    )


@pytest.mark.parametrize("stage", ["ready", "warm", "retired"])
def test_others_that_are_not_being_built_are_in_nobodys_way(stage):
    assert refused(BACKFILL, state(g3=stage), model()) is None


def test_a_model_that_is_not_there_is_named():
    assert refused(BACKFILL, state(), None) == "there is no model m-1 in models.v1"
    nameless = asked("backfill", "g2")
    assert refused(nameless, state(), None) == "there is no model (none was named) in models.v1"


@pytest.mark.parametrize("kind", ["reranker", "late-interaction"])
def test_only_an_encoder_builds_an_index(kind):
    reason = refused(BACKFILL, state(), model(kind=kind))
    assert reason == f"model m-1 is a {kind}: an index is built with an encoder"


def test_what_the_evaluation_refused_is_built_by_force_only_and_the_reasons_are_passed_on():
    bad = model(verdict="refused", reasons=("worse on new queries", "worse on new products"))
    assert refused(BACKFILL, state(), bad) == (
        "the evaluation refused model m-1 (worse on new queries; worse on new products); "
        "`force` builds with it all the same"
    )
    assert "(no reason is given)" in refused(BACKFILL, state(), model(verdict="refused"))
    assert refused(BACKFILL.model_copy(update={"force": True}), state(), bad) is None


@pytest.mark.parametrize("verdict", ["admitted", "imported"])
def test_force_is_not_needed_for_what_was_not_refused(verdict):
    assert refused(BACKFILL, state(), model(verdict=verdict)) is None


def test_force_helps_neither_a_reranker_nor_a_name_that_is_taken():
    forced = BACKFILL.model_copy(update={"force": True})
    assert "is a reranker" in refused(forced, state(), model(kind="reranker"))
    assert "never used" in refused(forced, state(g2="ready"), model())


@pytest.mark.parametrize("stage", ["building", "ready", "warm", "retired"])
def test_only_what_is_whole_and_served_is_promoted(stage):
    reason = refused(asked("promote", "g2"), state(g2=stage))
    assert reason == (None if stage in SWITCHABLE else f"g2 is {stage}, not ready")


def test_what_is_live_or_unknown_is_not_promoted():
    assert refused(asked("promote", "g1"), state(g2="ready")) == "g1 is live already"
    assert refused(asked("promote", "g9"), state(g2="ready")) == "there is no generation g9"


@pytest.mark.parametrize("named", ["g1", "g2"])
def test_a_roll_back_names_where_it_goes_or_what_it_leaves(named):
    assert refused(asked("rollback", named), state(previous="g1", live="g2", g1="warm")) is None


def test_a_roll_back_goes_to_what_was_live_before_and_nowhere_else():
    three = state(previous="g1", live="g2", g1="warm", g3="ready")
    assert refused(asked("rollback", "g3"), three) == "g3 was not live before g2: promote it instead"
    assert refused(asked("rollback", "g9"), three) == "there is no generation to go back to"
    assert refused(asked("rollback", "g1"), state()) == "there is no generation to go back to"


@pytest.mark.parametrize("stage", ["retired", "building"])
def test_a_roll_back_to_what_can_not_answer_is_refused(stage):
    gone = state(previous="g1", live="g2", g1=stage)
    assert refused(asked("rollback", "g2"), gone) == f"g1 is {stage}"


@pytest.mark.parametrize("stage", ["building", "ready", "warm"])
def test_whatever_is_not_live_is_retired(stage):
    assert refused(asked("retire", "g2"), state(g2=stage)) is None


def test_what_is_live_retired_or_unknown_is_not_retired():
    assert refused(asked("retire", "g1"), state()) == "g1 is live: promote another one first"
    assert refused(asked("retire", "g2"), state(g2="retired")) == "g2 is retired already"
    assert refused(asked("retire", "g9"), state()) == "there is no generation g9"


def test_what_another_one_is_being_built_from_is_not_retired():
    from_g1 = state(live="g2", previous="g1", g1="warm", g3="building")
    assert refused(asked("retire", "g1"), from_g1) == ("g3 is being built from it: wait until it is ready")
    assert refused(asked("retire", "g4"), state(g3="building", g4="ready")) is None
    assert refused(asked("retire", "g0"), state(g3="building", g0="ready")) is None, "built from g1"


@pytest.mark.parametrize("action", ["shadow", "ramp"])
def test_what_is_not_built_yet_says_so(action):
    weights = {"weights": {"g1": 1.0}} if action == "ramp" else {}
    assert refused(asked(action, "g1", **weights), state()) == (
        f"{action} is not built yet: promote moves all sessions at once"
    )


stages = st.sampled_from(["building", "ready", "warm", "retired"])
states = st.builds(
    lambda others, previous: state(previous if previous in others else None, **others),
    st.dictionaries(st.sampled_from(["g2", "g3", "g4"]), stages),
    st.sampled_from(["g2", "g3", "g4", None]),
)


@given(states, st.sampled_from(["promote", "rollback", "retire"]), st.sampled_from(["g1", "g2", "g3", "g9"]))
def test_what_is_granted_changes_the_state_and_leaves_one_live_generation(before, action, name):
    request = asked(action, name)
    after = before.after(request.model_copy(update={"status": "done"}))
    if objection(before, request, None) is None:
        assert after != before
    assert [generation.name for generation in after.of("live")] == [after.live]
