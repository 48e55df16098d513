"""Requests on `training.jobs.v1`: what commands and the demo ask of the trainer, and how it goes."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from schemas.base import Scalar
from schemas.control import Model, TrainingJob
from services.trainer.jobs.domain.job import ENDED
from services.trainer.jobs.registry import JobRegistry
from services.trainer.learning.domain.recipe import Recipe
from shared.kafka.client import require_topics
from shared.kafka.publisher import KafkaPublisher
from shared.patience import Missing, Silence, may_be_there
from shared.settings import Settings

LONGEST = timedelta(days=1)
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
    settings: Settings,
    job: TrainingJob,
    *,
    wait: timedelta = LONGEST,
    on_progress: Callable[[TrainingJob], None],
    missing: Missing = may_be_there,
) -> tuple[TrainingJob, Model | None]:
    """Publish the job and return it as it is when it has ended or `wait` is over, and its model.

    `on_progress` hears how far it is. A job that nobody has begun within seconds is given up as soon as
    `missing` says that there is no trainer, by its `TransientError`; it stays on the topic.
    """
    await require_topics(settings, [TrainingJob.topic, Model.topic])
    publisher = KafkaPublisher(settings)
    registry = JobRegistry(settings, publisher)
    await publisher.start()
    try:
        await registry.start()
        await registry.publish(job)
        if wait:
            silence = Silence(missing)
            while (job := registry.jobs()[job.job_id]).status not in ENDED:
                on_progress(job)
                if silence.seconds > wait.total_seconds():
                    break
                if job.status == "requested":
                    await silence.look()
                await asyncio.sleep(LOOK_SECONDS)
            on_progress(job)
        return job, registry.model(job.model_id) if job.model_id else None
    finally:
        await registry.stop()
        await publisher.stop()


async def all_jobs(settings: Settings) -> list[TrainingJob]:
    """Return every job, oldest first; raises `TransientError` when the broker is away."""
    await require_topics(settings, [TrainingJob.topic, Model.topic])
    publisher = KafkaPublisher(settings)  # never started: nothing is written
    registry = JobRegistry(settings, publisher)
    try:
        await registry.start()
        return sorted(registry.jobs().values(), key=lambda job: job.updated_at)
    finally:
        await registry.stop()
