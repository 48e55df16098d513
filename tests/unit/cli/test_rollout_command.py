"""`headrace rollout`: what `status` says of a generation, and of an answer to a request."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import typer

from schemas.control import Model, Rollout
from services.cli.rollout import _report, generation_row, refused_builds
from services.rollout.domain.readiness import GenerationEvidence
from services.rollout.settings import Settings
from shared.generations.rollout_log import RolloutLog
from shared.generations.state import Generation, Generations

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYS = {"generation", "stage", "model_id", "products", "behind", "canaries", "low", "lacks", "reason"}


@dataclass(frozen=True)
class Canary:
    recall: float
    limit: float = 0.8
    ran_at: datetime = NOON


def evidence(name: str, **fields) -> GenerationEvidence:
    whole = {"partitions": 2, "ready": 2, "sources": 2, "taken_over": 2, "documents": 100}
    return GenerationEvidence(generation=name, **{**whole, **fields})


@dataclass
class Log:
    """The part of a `RolloutLog` that a row is made of."""

    generations: Generations
    answers: dict[str, Rollout] = field(default_factory=dict)


def row(generation: Generation, *known: GenerationEvidence, live: str | None = "g1") -> dict:
    log = Log(Generations(live=live, known={generation.name: generation}))
    return generation_row(generation, {each.generation: each for each in known}, log, Settings())  # type: ignore[arg-type]  all that is read


def test_the_live_generation_lacks_nothing() -> None:
    shown = row(Generation(name="g1", stage="live"), evidence("g1", embedder_lag=3, shard_lag=4))
    assert set(shown) == KEYS
    assert (shown["products"], shown["behind"], shown["model_id"], shown["lacks"]) == (100, 7, None, [])


def test_a_candidate_says_what_it_lacks_beside_the_live_one() -> None:
    candidate = evidence("g2", ready=1, documents=40)
    shown = row(Generation(name="g2", stage="building"), evidence("g1"), candidate)
    assert shown["lacks"] == ["1 of 2 shards are not ready", "40 products, g1 has 100"]


def test_one_that_a_worker_has_given_up_says_so() -> None:
    known = evidence("g2", given_up={"search": "/models/m is not a directory"})
    shown = row(Generation(name="g2", stage="warm"), evidence("g1"), known)
    assert shown["reason"] == "given up by search: /models/m is not a directory"


def test_a_build_that_never_began_is_shown_with_its_reason_until_its_name_is_built() -> None:
    answers = [
        answered("g3", "refused", "the directory is another"),
        answered("g2", "refused", "first"),
        answered("g2", "refused", "serving differs from evaluation"),
        answered("g4", "done", ""),
        answered("g5", "refused", "it was retired before it was ready"),
    ]
    known = {name: Generation(name=name, stage="ready") for name in ("g1", "g4", "g5")}
    log = Log(Generations(live="g1", known=known), {str(at): answer for at, answer in enumerate(answers)})
    assert refused_builds(log) == [  # type: ignore[arg-type]  all that is read
        {"generation": "g3", "model_id": "m-1", "reason": "the directory is another"},
        {"generation": "g2", "model_id": "m-1", "reason": "serving differs from evaluation"},
    ]


def answered(generation: str, status: str, reason: str) -> Rollout:
    return Rollout(
        action="backfill",
        generation=generation,
        model_id="m-1",
        status=status,
        reason=reason,
        requested_at=NOON,
    )


def test_canaries_below_their_limit_are_named() -> None:
    canaries = {"c-2": Canary(0.5), "c-1": Canary(0.7), "c-3": Canary(1.0)}
    shown = row(Generation(name="g1", stage="live"), evidence("g1", canaries=canaries))
    assert (shown["canaries"], shown["low"]) == (3, ["c-1", "c-2"])


def test_a_generation_that_nobody_serves_has_no_figures() -> None:
    shown = row(Generation(name="g0", stage="retired", reason="by hand"), evidence("g1"))
    assert (shown["products"], shown["behind"], shown["canaries"]) == (0, 0, 0)
    assert (shown["lacks"], shown["reason"]) == ([], "by hand")


def test_a_generation_of_a_model_names_it() -> None:
    model = Model(
        model_id="m-1",
        fingerprint="a41d0c5b7e8f9021",
        location="/m",
        dimensions=384,
        verdict="admitted",
        created_at=NOON,
    )
    assert row(Generation(name="g2", stage="ready", model=model))["model_id"] == "m-1"


def answer(status: str, reason: str = "") -> Rollout:
    return Rollout(action="promote", generation="g2", status=status, reason=reason, requested_at=NOON)


def test_what_was_done_is_said(capsys) -> None:
    _report(answer("done"), json_=False)
    assert capsys.readouterr().out == "promote g2: done\n"


def test_what_was_refused_is_said_with_why_and_fails(capsys) -> None:
    with pytest.raises(typer.Exit) as ended:
        _report(answer("refused", "g2 is not ready"), json_=False)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out == "promote g2: refused, g2 is not ready\n"


def test_an_answer_as_json_is_the_message_without_the_model(capsys) -> None:
    _report(answer("done"), json_=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["action"], shown["generation"], shown["status"]) == ("promote", "g2", "done")
    assert "model" not in shown


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("backfill",), "generation"),
        (("backfill", "g2"), "--model"),
        (("promote",), "generation"),
        (("retire",), "generation"),
    ],
)
def test_what_is_to_be_rolled_out_must_be_said(headrace, arguments, missing) -> None:
    done = headrace("rollout", *arguments)
    assert done.code == 2
    assert missing in done.usage


def test_a_name_that_no_topic_could_have_is_refused(headrace) -> None:
    done = headrace("rollout", "backfill", "no spaces", "--model", "m-1")
    assert done.code == 2
    assert "generation" in done.error


def test_a_log_of_roll_outs_has_what_a_row_reads() -> None:
    assert isinstance(RolloutLog(Settings()).generations, Generations)
