"""What a job begins with: a base model, the generation whose index it is for, and the ranges of its data."""

import asyncio
from pathlib import Path

from schemas.alerts import Alert
from schemas.control import Model, OffsetRange, TrainingJob
from schemas.judgements import Canary
from services.trainer.dataset import build as datasets
from services.trainer.dataset import sources
from services.trainer.jobs.registry import JobRegistry
from services.trainer.jobs.settings import Settings
from services.trainer.jobs.task import JobBase
from shared.encoder.description import check_model, describe, recorded
from shared.encoder.directory import model_directory
from shared.errors import ConfigurationError
from shared.generations.fitted import fitted_parameters
from shared.generations.rollout_log import RolloutLog
from shared.kafka.compacted import read_items, read_once
from shared.settings import ModelSettings


class JobInputs:
    """Finds the inputs of a job in one installation."""

    def __init__(self, settings: Settings, registry: JobRegistry, rollouts: RolloutLog) -> None:
        self._settings = settings
        self._registry = registry
        self._rollouts = rollouts

    async def base_of(self, job: TrainingJob) -> tuple[JobBase, str]:
        """Return the model that the job names, else the live one; and the name of the live generation.

        Its weight is what search serves with it now: void while that generation's queries or products have
        drifted. Raises `ConfigurationError` when there is no such model, or its directory is refused, and
        `TransientError` when the alerts cannot be read.
        """
        state = self._rollouts.generations
        live = state.known[state.live or self._settings.generation]
        model = live.model
        if job.base_model:
            model = self._registry.model(job.base_model)
            if model is None:
                raise ConfigurationError(f"there is no model {job.base_model!r} on {Model.topic}")
        base = await asyncio.to_thread(_base, self._settings.model, model)
        alerts = await read_once(self._settings, Alert.topic)
        weight = fitted_parameters(model, live.name, alerts.items).dense_weight
        return base.model_copy(update={"dense_weight": weight}), live.name

    async def canaries(self) -> tuple[Canary, ...]:
        """Return the shop's canaries, by id; raises `TransientError` when they cannot be read.

        What is none is left to the monitor, which dead-letters it.
        """
        messages = read_items(Canary, (await read_once(self._settings, Canary.topic)).items.values())
        return tuple(sorted(messages, key=lambda canary: canary.canary_id))

    async def ranges_of(self, job: TrainingJob) -> tuple[OffsetRange, ...]:
        """Return what the job's data set is made of: the ranges that it names, and else all there is now."""
        if {offsets.topic for offsets in job.data} >= set(sources.TOPICS):
            return job.data
        return (await datasets.present_inputs(self._settings, judgements=job.data)).ranges


def _base(configured: ModelSettings, model: Model | None) -> JobBase:
    """Return the model, or the configured one, looked through and not loaded."""
    if model is None:
        path = model_directory(configured.path)
        return JobBase(path=path, fingerprint=describe(path, configured).fingerprint)
    check_model(recorded(configured, model), model)
    return JobBase(path=Path(model.location), model_id=model.model_id, fingerprint=model.fingerprint)
