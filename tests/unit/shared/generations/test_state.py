"""The state of all generations is the sum of the answers, whatever else is said and how often."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Rollout
from shared.generations.settings import generation_settings
from shared.generations.state import SWITCHABLE, Generation, Generations, Ledger, fold
from shared.settings import Settings
from tests.unit.shared.generations.answers import MODEL, logs, message, messages


def after(*answers: Rollout) -> Generations:
    """Return the state after these answers to requests of their own, from the configured g1 on."""
    state = Generations().founded("g1")
    for answer in answers:
        state = state.after(answer)
    return state


def folded(log: list[Rollout]) -> Ledger:
    return fold(enumerate(log))


def stages(state: Generations) -> dict[str, str]:
    return {name: generation.stage for name, generation in state.known.items()}


BUILT = (message("backfill", "g2", "running"), message("backfill", "g2"))


# The life of a generation


def test_a_generation_is_built_promoted_kept_warm_and_given_up():
    assert stages(after(BUILT[0])) == {"g1": "live", "g2": "building"}
    assert stages(after(*BUILT)) == {"g1": "live", "g2": "ready"}
    promoted = after(*BUILT, message("promote", "g2"))
    assert (stages(promoted), promoted.live, promoted.previous) == ({"g1": "warm", "g2": "live"}, "g2", "g1")
    retired = promoted.after(message("retire", "g1"))
    assert (stages(retired), retired.previous) == ({"g1": "retired", "g2": "live"}, None)
    assert retired.served.keys() == {"g2"}


def test_a_generation_knows_what_it_was_built_of():
    built = after(BUILT[0]).known["g2"]
    assert (built.model, built.source, built.request_id) == (MODEL, "g1", "r")
    assert after(BUILT[0]).model("g2") == MODEL
    assert after().model("g1") is after().model("g9") is None


@pytest.mark.parametrize("named", ["g2", "g1"])
def test_a_roll_back_goes_to_what_was_live_before_whichever_of_the_two_it_names(named):
    back = after(*BUILT, message("promote", "g2"), message("rollback", named))
    assert (back.live, back.previous, stages(back)) == ("g1", "g2", {"g1": "live", "g2": "warm"})


def test_two_roll_backs_lead_back_again():
    promoted = after(*BUILT, message("promote", "g2"))
    assert promoted.after(message("rollback", "g2")).after(message("rollback", "g1")) == promoted


def test_a_backfill_that_is_refused_is_given_up_with_its_reason():
    refused = after(BUILT[0], message("backfill", "g2", "refused", reason="too few products"))
    assert (refused.known["g2"].stage, refused.known["g2"].reason) == ("retired", "too few products")


def test_the_refusal_of_another_request_for_the_same_name_changes_nothing():
    state = after(BUILT[0])
    assert state.after(message("backfill", "g2", "refused", request_id="other")) == state


@pytest.mark.parametrize(
    "answer",
    [
        message("promote", "g9"),
        message("promote", "g1"),
        message("rollback", "g1"),
        message("rollback", "g9"),
        message("retire", "g1"),
        message("retire", "g9"),
        message("backfill", "g9"),
        message("backfill", "g9", "running", model=None),
        message("shadow", "g2"),
        message("ramp", "g2"),
        message("promote", "g2", "refused"),
        message("promote", "g2", "running"),
        message("backfill", "g2", "running"),
    ],
    ids=lambda answer: f"{answer.action} {answer.generation} {answer.status}",
)
def test_an_answer_that_makes_no_sense_changes_nothing(answer):
    state = after(*BUILT)
    assert state.after(answer) == state


def test_one_that_is_being_built_is_not_promoted_and_one_that_was_given_up_never_again():
    assert after(BUILT[0], message("promote", "g2")).live == "g1"
    gone = after(*BUILT, message("retire", "g2"))
    assert gone.after(message("promote", "g2")) == gone.after(message("backfill", "g2", "running")) == gone


# Who decides what is live


def test_configuration_decides_until_a_generation_is_built_of_a_model():
    assert after().founded("g7").live == "g7"
    assert after(*BUILT).founded("g7").live == "g1"
    assert Generations().founded("g1").founded("g1") == Generations().founded("g1")


def test_in_the_log_the_first_promotion_founds():
    assert Generations().after(message("promote", "g5")).live == "g5"


@given(logs)
def test_there_is_always_one_live_generation_and_what_is_before_it_can_come_back(log):
    state = after()
    for answer in log:
        before, state = state, state.after(answer)
        assert [name for name, stage in stages(state).items() if stage == "live"] == [state.live]
        assert state.previous is None or state.known[state.previous].stage in SWITCHABLE
        assert all(name == generation.name for name, generation in state.known.items())
        assert state.live in state.served
        if any(generation.model for generation in before.known.values()):
            gone = {name for name, stage in stages(before).items() if stage == "retired"}
            assert gone <= {name for name, stage in stages(state).items() if stage == "retired"}


@given(logs)
def test_generations_of_a_stage_are_listed_by_name(log):
    state = after(*log)
    every = state.of("building", "ready", "live", "warm", "retired")
    assert [generation.name for generation in every] == sorted(state.known)
    assert {generation.name for generation in state.of("retired")} == state.known.keys() - state.served.keys()


# The ledger


@given(logs, st.randoms(use_true_random=False))
def test_what_is_said_again_is_no_news(log: list[Rollout], rng: Random):
    """Every message with an id again, once or twice, anywhere after what closed its request."""
    again = list(log)
    closed = {named.request_id for named in log if named.status in ("done", "refused") and named.request_id}
    for answer in rng.sample(log, len(log)):
        if answer.request_id in closed:
            final = next(
                index
                for index, other in enumerate(again)
                if other.request_id == answer.request_id and other.status in ("done", "refused")
            )
            again.insert(rng.randint(final + 1, len(again)), answer)
    named = [answer for answer in log if answer.request_id]
    named_again = [answer for answer in again if answer.request_id]
    assert folded(named_again) == folded(named)


@given(logs)
def test_a_log_that_is_read_twice_from_its_beginning_gives_the_same(log):
    twice = fold([*enumerate(log), *enumerate(log)])
    once = folded(log)
    assert (twice.generations, twice.closed, twice.running) == (once.generations, once.closed, once.running)


@given(logs, st.integers(0, 16))
def test_a_log_may_be_read_in_parts(log, cut):
    first = fold(list(enumerate(log))[:cut])
    for offset, answer in list(enumerate(log))[cut:]:
        first = first.take(answer, offset=offset)
    assert first == folded(log)


@given(logs)
def test_requests_wait_in_their_order_until_they_have_any_answer(log):
    named = [
        answer if answer.request_id else answer.model_copy(update={"request_id": f"{Rollout.topic}-{offset}"})
        for offset, answer in enumerate(log)
    ]
    ledger = folded(log)
    answered, pending = set(), {}
    for answer in named:
        if answer.status == "requested":
            if answer.request_id not in answered:
                pending.setdefault(answer.request_id, answer)
        else:
            answered.add(answer.request_id)
            pending.pop(answer.request_id, None)
    assert list(ledger.pending) == list(pending.values())
    assert not ledger.running & ledger.closed
    assert ledger.running | ledger.closed == answered


@given(messages.filter(lambda answer: answer.status in ("done", "refused")), messages)
def test_of_two_final_answers_to_one_request_the_first_counts(first, second):
    closed = Ledger().take(first.model_copy(update={"request_id": "r"}), offset=0)
    assert closed.take(second.model_copy(update={"request_id": "r"}), offset=1) == closed


def test_a_request_without_an_id_is_named_by_its_place():
    ledger = fold([(7, message("promote", "g2", "requested", request_id=None))])
    assert [request.request_id for request in ledger.pending] == ["rollout.v1-7"]
    assert ledger.take(message("promote", "g2", request_id="rollout.v1-7"), offset=8).pending == ()


# The settings of a generation


def test_a_generation_is_served_with_its_own_model_and_everything_else_as_configured(tmp_path: Path):
    common = Settings(namespace="shop", partitions=7)
    served = generation_settings(common, Generation(name="g2", stage="ready", model=MODEL))
    assert (served.generation, served.model.path) == ("g2", Path("/models/m-1"))
    assert served.model_copy(update={"generation": "g1", "model": common.model}) == common


def test_the_founding_generation_has_the_configured_model():
    common = Settings()
    assert generation_settings(common, Generation(name="g1", stage="live")) == common
