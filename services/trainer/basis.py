"""What a job begins with: a model, the generation whose index it is for, and the ranges of its data."""

import asyncio
from pathlib import Path

from schemas.control import Model, OffsetRange, TrainingJob
from services.trainer import datasets, sources
from services.trainer.jobs import JobBook
from services.trainer.settings import Settings
from services.trainer.task import Base
from shared.encoder.description import check_model, describe
from shared.encoder.directory import model_directory
from shared.errors import ConfigurationError
from shared.rollout_log import RolloutLog
from shared.settings import ModelSettings


class Basis:
    """Answers for one installation."""

    def __init__(self, settings: Settings, book: JobBook, rollouts: RolloutLog) -> None:
        self._settings = settings
        self._book = book
        self._rollouts = rollouts

    async def of(self, job: TrainingJob) -> tuple[Base, str]:
        """Return the model that the job names, else the live one, and the live generation.

        Raises `ConfigurationError` when there is no such model, or its directory is refused.
        """
        state = self._rollouts.generations
        live = state.known[state.live or self._settings.generation]
        model = live.model
        if job.base_model:
            model = self._book.model(job.base_model)
            if model is None:
                raise ConfigurationError(f"there is no model {job.base_model!r} on {Model.topic}")
        return await asyncio.to_thread(_base, self._settings.model, model), live.name

    async def ranges(self, job: TrainingJob) -> tuple[OffsetRange, ...]:
        """Return what the job's data set is made of: what it says, and else all there is now."""
        if {it.topic for it in job.data} >= set(sources.TOPICS):
            return job.data
        return (await datasets.present(self._settings, judgements=job.data)).ranges


def _base(configured: ModelSettings, model: Model | None) -> Base:
    """Return the model, or the configured one, looked through and not loaded."""
    if model is None:
        path = model_directory(configured.path)
        return Base(path=path, fingerprint=describe(path, configured).fingerprint)
    path = Path(model.location)
    check_model(configured.model_copy(update={"path": path}), model)
    return Base(path=path, model_id=model.model_id, fingerprint=model.fingerprint)
