"""`python -m services.trainer.run FOLDER`: does the job whose task lies in the folder.

Each step leaves something whole behind, under a name that follows from the job: data set, checkpoints,
model, result. Killed at any moment and begun again, it goes on from the last of them. It says how far it
is in JSON lines on standard output, and ends when its worker does.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.control import Model
from services.trainer import dataset_files, datasets
from services.trainer.domain.card import CARD, card
from services.trainer.domain.dataset import Dataset
from services.trainer.settings import Settings, recipe_of
from services.trainer.task import RESULT, TASK, Exit, Said, Task, model_id_of, model_of
from shared import logs
from shared.directories import alone, replace_file
from shared.errors import HeadraceError, TransientError
from shared.version import code_version

if TYPE_CHECKING:
    from services.trainer.evaluation.judge import Judged


def say(stage: str, share: float, figures: Mapping[str, float]) -> None:
    """Tell the worker how far it is."""
    _write(Said(stage=stage, share=share, figures=dict(figures)))


def do(folder: Path, settings: Settings) -> Model:
    """Do the job and return its model; when it was done before, what came out then.

    Raises `ConfigurationError` when it cannot be done, `TransientError` when something is away.
    """
    result = folder / RESULT
    if result.is_file():
        return Model.decode(result.read_bytes())
    task = Task.model_validate_json((folder / TASK).read_bytes())
    recipe = recipe_of(settings, task.job)
    dataset = _dataset(settings, task)
    directory = model_of(settings, model_id_of(task.job.job_id))
    from services.trainer.evaluation.judge import Judge  # noqa: PLC0415 - seconds; the broker may be away
    from services.trainer.learning.train import train  # noqa: PLC0415 - likewise

    train(dataset, recipe, base=task.base.path, work=folder / "work", out=directory, progress=say)
    judge = Judge(live=task.base.path, model=settings.model, progress=say, terms=settings.trainer.terms)
    judged = judge.judge(dataset, directory, recipe)
    model = _record(task, judged, directory).model_copy(update={"dataset": dataset.manifest.name})
    replace_file(directory / CARD, card(model, dataset.manifest, judged.evaluated.compared).encode())
    replace_file(result, model.encode())
    return model


def _record(task: Task, judged: "Judged", directory: Path) -> Model:
    """Return what is published of the model."""
    job, found = task.job, judged.evaluated
    return Model(
        model_id=model_id_of(job.job_id),
        kind=job.kind,
        fingerprint=found.candidate,
        location=str(directory),
        dimensions=found.dimensions,
        base_fingerprint=task.base.fingerprint,
        job_id=job.job_id,
        verdict="admitted" if judged.verdict.admitted else "refused",
        reasons=judged.verdict.reasons,
        metrics=found.metrics(),
        dense_weight=found.dense_weight,
        threshold=found.threshold,
        lineage=job.data,
        seed=job.seed,
        code_version=code_version(),
        created_at=job.updated_at,
    )


def _dataset(settings: Settings, task: Task) -> Dataset:
    """Return the job's data set, built unless it lies there already."""
    origin = datasets.Origin(
        ranges=task.job.data,
        selection=settings.selection,
        generation=task.generation,
        seed=task.job.seed,
        code_version=code_version(),
    )
    directory = datasets.directory_of(settings, origin.name)
    if not directory.exists():
        built = asyncio.run(datasets.build(settings, origin, progress=_reading))
        dataset_files.write(built, directory)
    return dataset_files.read(directory)


def _reading(_: str, done: int, total: int) -> None:
    say("dataset", done / max(1, total), {"messages": done})


def _write(said: Said) -> None:
    sys.stdout.write(said.model_dump_json(exclude_defaults=True) + "\n")
    sys.stdout.flush()


def main(folder: Path) -> int:
    """Do the job in the folder and return the exit code."""
    settings = Settings.load()
    logs.configure(settings.log, worker="training")
    os.nice(settings.trainer.nice)
    try:
        with alone(folder):  # a worker that only seemed dead may still be at it
            do(folder, settings)
    except TransientError as error:
        _write(Said(error=str(error)))
        return Exit.LATER
    except HeadraceError as error:
        _write(Said(error=str(error)))
        return Exit.REFUSED
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
