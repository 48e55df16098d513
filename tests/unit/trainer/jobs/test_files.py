"""A job's files and names: where it works, what it is told, how its process ends."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Model, TrainingJob
from services.trainer.jobs import run
from services.trainer.jobs.domain.exit import Exit, status_after
from services.trainer.jobs.registry import latest
from services.trainer.jobs.requests import new_job
from services.trainer.jobs.settings import Settings, TrainerSettings, recipe_of
from services.trainer.jobs.task import (
    RESULT,
    TASK,
    JobBase,
    ProgressMessage,
    Task,
    folder_of,
    model_directory_of,
    model_id_of,
)
from shared.errors import ConfigurationError, TransientError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def job(job_id: str = "j1", at: datetime = NOON, **changes: object) -> TrainingJob:
    given = {"status": "requested", "reason": "manual", "base_model": "", **changes}
    return TrainingJob.model_validate({"job_id": job_id, "updated_at": at, **given})


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_a_jobs_folder_and_model_are_its_own_and_below_the_data_directory(one: str, other: str) -> None:
    settings = Settings(data_dir=Path("/data"))
    assert folder_of(settings, one).parent == Path("/data/training")
    assert model_directory_of(settings, model_id_of(one)).parent == Path("/data/models")
    assert (folder_of(settings, one) == folder_of(settings, other)) is (one == other)
    assert (model_id_of(one) == model_id_of(other)) is (one == other)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Exit.DONE, "succeeded"),
        (Exit.REFUSED, "failed"),
        (1, "failed"),
        (Exit.RETRY_LATER, "requested"),
        (-9, "requested"),
        (-15, "requested"),
    ],
)
def test_what_becomes_of_a_job_follows_from_how_its_process_ends(code: int, status: str) -> None:
    assert status_after(code) == status


def test_of_two_states_of_a_job_the_newer_counts() -> None:
    old, new = job(), job(at=NOON.replace(hour=13), status="running")
    assert latest({"j1": old}, {"j1": new}) == {"j1": new}
    assert latest({"j1": new}, {"j1": old}) == {"j1": new}
    assert latest({"j1": old}, {"j1": job(status="failed")}) == {"j1": old}, "read is what all see"
    assert latest({}, {"j2": new}) == {"j2": new}


def test_a_recipe_is_the_defaults_then_the_settings_then_the_jobs_own() -> None:
    settings = Settings(trainer=TrainerSettings(recipe={"epochs": 5, "queries": 7}))
    recipe = recipe_of(settings, job(options={"epochs": 9}, seed=3, kind="reranker"))
    assert (recipe.epochs, recipe.queries, recipe.seed, recipe.kind) == (9, 7, 3, "reranker")
    with pytest.raises(ConfigurationError, match="recipe: epoch"):
        recipe_of(settings, job(options={"epoch": 9}))


@pytest.mark.parametrize("section", [{"crontab": "at three"}, {"attempts": 0}, {"nice": 20}, {"volum": 3}])
def test_settings_that_are_none_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(section))):
        TrainerSettings.model_validate(section)


def test_settings_of_a_recipe_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="recipe: epoch"):
        TrainerSettings(recipe={"epoch": 3})


def test_a_request_is_refused_before_it_is_written() -> None:
    asked = new_job("encoder", "m-1", options={"epochs": 3}, seed=4, now=NOON)
    assert (asked.job_id, asked.status, asked.reason) == (
        "manual-20261121T120000.000000",
        "requested",
        "manual",
    )
    assert (asked.base_model, asked.options, asked.seed) == ("m-1", {"epochs": 3}, 4)
    with pytest.raises(ConfigurationError, match="recipe: epochs"):
        new_job("encoder", "", options={"epochs": 0}, seed=0, now=NOON)
    with pytest.raises(ConfigurationError, match="recipe: kind"):
        new_job("oracle", "", options={}, seed=0, now=NOON)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HEADRACE_TRAINER__NICE", "0")
    monkeypatch.setenv("HEADRACE_KAFKA", "127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


def hand_over(folder: Path, **options: object) -> None:
    base = JobBase(path=folder / "base", fingerprint="0" * 16)
    task = Task(job=job(options=options), base=base, generation="g1")
    (folder / TASK).write_text(task.model_dump_json())


def words(text: str) -> list[ProgressMessage]:
    return [ProgressMessage.model_validate_json(line) for line in text.splitlines() if line.startswith("{")]


def test_a_job_that_was_done_ends_at_once_with_what_came_out(folder: Path) -> None:
    model = Model(
        model_id="m-1",
        fingerprint="0" * 16,
        location="/models",
        dimensions=8,
        verdict="admitted",
        created_at=NOON,
    )
    (folder / RESULT).write_bytes(model.encode())
    assert run.do(folder, Settings.load(), run.report) == model
    assert run.main(folder) == Exit.DONE


def test_what_cannot_be_done_is_refused_in_words(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hand_over(folder, epoch=3)
    assert run.main(folder) == Exit.REFUSED
    assert "recipe: epoch" in words(capfd.readouterr().out)[-1].error


def test_what_is_away_is_for_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def do(*_: object) -> Model:
        raise TransientError("no broker answers")

    monkeypatch.setattr(run, "do", do)
    assert run.main(folder) == Exit.RETRY_LATER
    assert words(capfd.readouterr().out)[-1].error == "no broker answers"


def test_progress_is_a_line_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    run.report("training", 0.5, {"loss": 0.25})
    assert words(capfd.readouterr().out) == [
        ProgressMessage(stage="training", share=0.5, figures={"loss": 0.25})
    ]
