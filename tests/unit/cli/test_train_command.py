"""`headrace train`: the recipe's options, and how jobs and their models are shown."""

import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.control import Model, TrainingJob
from services.cli import train
from shared.errors import ConfigurationError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODEL = Model(
    model_id="m-1",
    fingerprint="a41d0c5b7e8f9021",
    location="/data/models/m-1",
    dimensions=384,
    verdict="admitted",
    reasons=("held out: +0.023 [+0.012, +0.034]",),
    metrics={"nDCG@10 held_out": 0.641},
    created_at=NOON,
)


def job(job_id: str = "1", **fields) -> TrainingJob:
    return TrainingJob(
        **{
            "job_id": job_id,
            "status": "running",
            "reason": "manual",
            "base_model": "",
            "updated_at": NOON,
            **fields,
        }
    )


NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
SCALARS = st.one_of(
    st.integers(-(2**40), 2**40), st.booleans(), st.floats(-1e6, 1e6), st.text("xyz -", max_size=6)
)


@given(st.dictionaries(NAMES, SCALARS, max_size=5))
def test_options_are_read_as_they_are_written(options) -> None:
    written = [f"{name}={orjson.dumps(value).decode()}" for name, value in options.items()]
    assert train.read_options(written) == options


def test_a_value_that_is_no_json_is_a_string() -> None:
    assert train.read_options(["base=mini-lm", "rate=2e-5", "weighted=true"]) == {
        "base": "mini-lm",
        "rate": 2e-5,
        "weighted": True,
    }


def test_an_equals_sign_may_be_in_the_value() -> None:
    assert train.read_options(["filter=a=b"]) == {"filter": "a=b"}


def test_of_two_options_with_a_name_the_last_counts() -> None:
    assert train.read_options(["epochs=1", "epochs=3"]) == {"epochs": 3}


@pytest.mark.parametrize("text", ["epochs", "", "epochs 3"])
def test_an_option_without_a_value_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="written name=value, as in epochs=3"):
        train.read_options([text])


def test_a_wrong_option_is_refused_before_anything_is_asked(headrace) -> None:
    done = headrace("train", "--option", "epochs")
    assert (done.code, done.error) == (2, "an option is written name=value, as in epochs=3, not 'epochs'")


@pytest.mark.parametrize(
    ("arguments", "complaint"), [(("--kind", "cross-encoder"), "kind"), (("--option", "epoch=3"), "epoch")]
)
def test_a_job_that_no_trainer_would_take_is_refused(headrace, arguments, complaint) -> None:
    done = headrace("train", *arguments)
    assert done.code == 2
    assert complaint in done.error


def test_jobs_are_a_table(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    train.show_jobs(
        [job(stage="training", progress=0.42, worker="t-1"), job("2", status="failed", error="no data")],
        as_json=False,
    )
    shown = capsys.readouterr().out
    assert "42%" in shown
    assert "no data" in shown


def test_jobs_as_json_have_the_fields_of_a_job(capsys) -> None:
    train.show_jobs([job(), job("2", status="succeeded", model_id="m-1")], as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["job_id"] for row in rows] == ["1", "2"]
    assert all(
        {"status", "kind", "stage", "progress", "model_id", "error", "model"} <= set(row) for row in rows
    )


def test_a_job_with_its_model_as_json_holds_both() -> None:
    whole = train._as_json(job(status="succeeded"), MODEL)
    assert (whole["status"], whole["model"]["verdict"]) == ("succeeded", "admitted")


def test_how_a_job_ended_is_shown_with_its_model_and_why(capsys) -> None:
    train.show(Console(width=100), job(status="succeeded"), MODEL)
    shown = capsys.readouterr().out
    for part in ("m-1: admitted", "0.6410", "held out: +0.023", "in /data/models/m-1"):
        assert part in shown


def test_a_job_without_a_model_shows_its_status(capsys) -> None:
    train.show(Console(width=100), job(status="superseded"), None)
    assert capsys.readouterr().out == "1: superseded\n"
