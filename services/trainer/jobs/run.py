"""`python -m services.trainer.jobs.run FOLDER`: does the job whose task lies in the folder.

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
from services.trainer.dataset import build as datasets
from services.trainer.dataset import files as dataset_files
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.domain.card import CARD, card
from services.trainer.jobs.domain.exit import Exit
from services.trainer.jobs.settings import Settings, recipe_of
from services.trainer.jobs.task import RESULT, TASK, ProgressMessage, Task, model_directory_of, model_id_of
from services.trainer.progress import Progress
from shared.directories import alone, replace_file
from shared.disk import writing
from shared.encoder.parity import recorded_precision
from shared.errors import HeadraceError, TransientError
from shared.process import logs
from shared.version import code_version

if TYPE_CHECKING:
    from services.trainer.evaluation.assessment import CandidateAssessment


CUT = "texts cut in the fit"


def report(stage: str, share: float, figures: Mapping[str, float]) -> None:
    """Tell the worker the stage and how much of it is done."""
    _write(ProgressMessage(stage=stage, share=share, figures=dict(figures)))


def do(folder: Path, settings: Settings, progress: Progress) -> Model:
    """Do the job and return its model; when it was done before, what came out then.

    Raises `ConfigurationError` when it cannot be done, `TransientError` when something is away.
    """
    result = folder / RESULT
    if result.is_file():
        return Model.decode(result.read_bytes())
    task = Task.model_validate_json((folder / TASK).read_bytes())
    recipe = recipe_of(settings, task.job)
    dataset = _dataset(settings, task, progress)
    directory = model_directory_of(settings, model_id_of(task.job.job_id))
    from services.trainer.evaluation.assessment import CandidateEvaluator  # noqa: PLC0415 - seconds; the broker may be away
    from services.trainer.learning.train import train  # noqa: PLC0415 - likewise

    places = {"work": folder / "work", "out": directory}
    trained = train(dataset, recipe, base=task.base.path, **places, progress=progress, model=settings.model)
    shop = settings.shop_search(
        settings.trainer.mode, fitted_weight=task.base.dense_weight, canaries=task.canaries
    )
    evaluator = CandidateEvaluator(
        live=task.base.path,
        model=settings.model,
        progress=progress,
        terms=settings.trainer.terms,
        shop=shop,
    )
    assessment = evaluator.assess(dataset, directory, recipe)
    evaluated = assessment.evaluated
    made = {
        "dataset": dataset.manifest.name,
        "precision": recorded_precision(settings.model),
        "training_probes": trained.probes,
        "product_recipe": settings.embedder.recipe,
        "metrics": {**evaluated.metrics(), CUT: trained.cut},
    }
    model = _record(task, assessment, directory).model_copy(update=made)
    page = card(model, dataset.manifest, evaluated.compared, live_weight=evaluated.live_weight)
    replace_file(directory / CARD, page.encode())
    replace_file(result, model.encode())
    return model


def _record(task: Task, assessment: "CandidateAssessment", directory: Path) -> Model:
    """Return what is published of the model."""
    job, evaluated = task.job, assessment.evaluated
    return Model(
        model_id=model_id_of(job.job_id),
        kind=job.kind,
        fingerprint=evaluated.candidate,
        location=str(directory),
        dimensions=evaluated.dimensions,
        base_fingerprint=task.base.fingerprint,
        job_id=job.job_id,
        verdict=assessment.verdict.answer,
        reasons=assessment.verdict.reasons,
        trial_sessions=assessment.verdict.trial_sessions,
        probes=evaluated.probes,
        dense_weight=evaluated.dense_weight,
        threshold=evaluated.threshold,
        lineage=job.data,
        seed=job.seed,
        code_version=code_version(),
        created_at=job.updated_at,
    )


def _dataset(settings: Settings, task: Task, progress: Progress) -> Dataset:
    """Return the job's data set, built unless it lies there already."""
    inputs = datasets.DatasetInputs(
        ranges=task.job.data,
        selection=settings.selection,
        generation=task.generation,
        seed=task.job.seed,
        code_version=code_version(),
    )
    directory = datasets.directory_of(settings, inputs.name)
    if not directory.exists():

        def read(_: str, done: int, total: int) -> None:
            progress("dataset", done / max(1, total), {"messages": done})

        built = asyncio.run(datasets.build(settings, inputs, progress=read))
        dataset_files.write(built, directory)
    return dataset_files.read(directory)


def _write(message: ProgressMessage) -> None:
    sys.stdout.write(message.model_dump_json(exclude_defaults=True) + "\n")
    sys.stdout.flush()


def main(folder: Path, progress: Progress = report) -> int:
    """Do the job in the folder and return the exit code."""
    settings = Settings.load()
    logs.configure(settings.log, worker="training")
    os.nice(settings.trainer.nice)
    try:
        with writing(folder), alone(folder):  # a worker that only seemed dead may still be at it
            do(folder, settings, progress)
    except TransientError as error:
        _write(ProgressMessage(error=str(error)))
        return Exit.RETRY_LATER
    except HeadraceError as error:
        _write(ProgressMessage(error=str(error)))
        return Exit.REFUSED
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
