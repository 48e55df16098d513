"""Requests on `training.jobs.v1`: what commands and the demo ask of the trainer, and how it goes."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from schemas.base import Scalar
from schemas.control import Model, TrainingJob
from services.trainer.jobs.domain.job import ENDED
from services.trainer.jobs.registry import JobRegistry
from services.trainer.learning.domain.recipe import Recipe
from shared.kafka.publisher import KafkaPublisher
from shared.settings import Settings

LOOK_SECONDS = 0.3


def new_job(kind: str, base: str, *, options: Mapping[str, Scalar], seed: int, now: datetime) -> TrainingJob:
    """Return the job; raises `ConfigurationError` when kind or an option is none."""
    Recipe.of({**options, "kind": kind})
    return TrainingJob.model_validate(
        {
            "job_id": f"manual-{now:%Y%m%dT%H%M%S.%f}",
            "status": "requested",
            "reason": "manual",
            "kind": kind,
            "base_model": base,
            "options": options,
            "seed": seed,
            "updated_at": now,
        }
    )


async def ask(
    settings: Settings, job: TrainingJob, *, wait: bool = True, on_progress: Callable[[TrainingJob], None]
) -> tuple[TrainingJob, Model | None]:
    """Publish the job and return it as it ended (as it was requested, without `wait`), and its model.

    `on_progress` hears how far it is.
    """
    publisher = KafkaPublisher(settings)
    registry = JobRegistry(settings, publisher)
    await publisher.start()
    try:
        await registry.start()
        await registry.publish(job)
        if wait:
            job = await _followed(registry, job.job_id, on_progress)
        return job, registry.model(job.model_id) if job.model_id else None
    finally:
        await registry.stop()
        await publisher.stop()


async def _followed(
    registry: JobRegistry, job_id: str, on_progress: Callable[[TrainingJob], None]
) -> TrainingJob:
    while (job := registry.jobs()[job_id]).status not in ENDED:
        on_progress(job)
        await asyncio.sleep(LOOK_SECONDS)
    on_progress(job)
    return job


async def all_jobs(settings: Settings) -> list[TrainingJob]:
    """Return every job, oldest first."""
    publisher = KafkaPublisher(settings)  # never started: nothing is written
    registry = JobRegistry(settings, publisher)
    try:
        await registry.start()
        return sorted(registry.jobs().values(), key=lambda job: job.updated_at)
    finally:
        await registry.stop()
