"""The state of all generations is a fold of the answers: total, and the same however often they are said."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Model, Rollout
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
    action=st.sampled_from(["backfill", "shadow", "ramp", "promote", "rollback", "retire"]),
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


def state(*answers: Rollout) -> Generations:
    return fold(enumerate([said("promote", "g1", request_id="founding"), *answers])).generations


BUILT = (said("backfill", "g2", "running"), said("backfill", "g2"))


def stages(found: Generations) -> dict[str, str]:
    return {name: each.stage for name, each in found.known.items()}


@given(log=st.lists(messages, max_size=25))
def test_of_whatever_is_said_there_is_one_live_generation_and_a_warm_one_to_go_back_to(log):
    found = fold(enumerate(log)).generations.founded("g1")
    assert [each.name for each in found.of("live")] == [found.live]
    assert found.previous is None or found.known[found.previous].stage == "warm"
    assert found.previous != found.live
    assert all(each.model for each in found.of("building", "ready"))


@given(log=st.lists(messages, max_size=15), data=st.data())
def test_messages_that_come_again_later_change_nothing(log, data):
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
