"""An undecided model is built and tried unasked, once; what a person does is left alone."""

from datetime import timedelta

from schemas.control import TrialTerms
from services.rollout.domain.automatic import next_request
from shared.generations.state import fold
from tests.unit.rollout.conftest import NOW, asked, model

FOUNDED = asked("promote", "g1", "founding").model_copy(update={"status": "done"})
TERMS = TrialTerms(days=7)
UNDECIDED = model("m-2", verdict="undecided")


def answered(request, status, **other):
    return request.model_copy(update={"status": status, **other})


def following(*messages, models=(UNDECIDED,)):
    return next_request(fold(enumerate((FOUNDED, *messages))), models, NOW, terms=TERMS)


def test_an_undecided_model_is_built_then_tried_and_then_left_to_its_end():
    build = following()
    assert (build.action, build.generation, build.model_id) == ("backfill", "g2", "m-2")
    running = answered(build, "running", model=UNDECIDED)
    assert following(build) is None
    assert following(build, running) is None
    ready = (build, running, answered(build, "done"))
    trial = following(*ready)
    assert (trial.action, trial.generation, trial.trial) == ("trial", "g2", TERMS)
    begun = answered(trial, "running")
    assert following(*ready, trial) is None
    assert following(*ready, trial, begun) is None
    assert following(*ready, trial, begun, answered(trial, "done", end="no difference")) is None


def test_a_trial_takes_as_many_sessions_as_the_verdict_on_its_model_advises_by_now():
    build = following()
    ready = (build, answered(build, "running", model=UNDECIDED), answered(build, "done"))
    judged = UNDECIDED.model_copy(update={"trial_sessions": 12_000})
    assert following(*ready, models=(judged,)).trial == TERMS.model_copy(update={"sessions": 12_000})
    assert following(*ready, models=()).trial == TERMS


def test_what_was_refused_is_not_asked_again():
    build = following()
    assert following(build, answered(build, "refused")) is None


def test_the_newest_is_built_and_none_that_is_older_than_the_live_one():
    newer = model("m-3", verdict="undecided", created_at=NOW + timedelta(days=1))
    assert following(models=(newer, UNDECIDED)).model_id == "m-3"
    build = following(models=(newer,))
    live = (build, answered(build, "running", model=newer), answered(build, "done"))
    live += (answered(asked("promote", "g2"), "done"),)
    assert following(*live, models=(newer, UNDECIDED)) is None


def test_what_is_decided_or_no_encoder_is_nobodys_business():
    others = (
        model("m-4"),
        model("m-5", verdict="refused"),
        model("m-6", verdict="undecided", kind="reranker"),
    )
    assert following(models=others) is None


def test_a_name_that_was_used_is_not_used_again():
    build = asked("backfill", "g2", model_id="m-1")
    used = (build, answered(build, "running", model=model()), answered(build, "refused"))
    assert following(*used).generation == "g3"
