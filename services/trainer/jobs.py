"""The jobs on the bus: as they are known now, and what becomes of them."""

from collections.abc import Iterable

import structlog
from pydantic import ValidationError

from schemas.control import Model, TrainingJob
from shared.compacted import CompactedTopic
from shared.ports import Publisher, outgoing
from shared.settings import Settings

log = structlog.get_logger()


class JobBook:
    """The part of a worker that follows `training.jobs.v1` and `models.v1`, and writes them."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._jobs = CompactedTopic(settings, TrainingJob.topic)
        self._models = CompactedTopic(settings, Model.topic)
        self._publisher = publisher
        self._written: dict[str, TrainingJob] = {}

    async def start(self) -> None:
        """Read everything there is, and follow."""
        await self._jobs.start()
        await self._models.start()

    async def stop(self) -> None:
        """Stop following."""
        await self._models.stop()
        await self._jobs.stop()

    async def wait(self) -> None:
        """Raise what made it fail."""
        await self._jobs.wait()

    def jobs(self) -> dict[str, TrainingJob]:
        """Return every job in its last state, by id; what we wrote counts before it comes back."""
        read = _decoded(self._jobs.items.values())
        for job_id, job in self._written.items():
            if job_id not in read or read[job_id].updated_at < job.updated_at:
                read[job_id] = job
        return read

    def model(self, model_id: str) -> Model | None:
        """Return the model of that id."""
        value = self._models.items.get(model_id.encode())
        return Model.decode(value) if value is not None else None

    async def publish(self, job: TrainingJob) -> None:
        """Write what became of a job; returns when it is acknowledged."""
        await self._publisher.publish([outgoing(job)])
        self._written[job.job_id] = job

    async def publish_model(self, model: Model) -> None:
        """Write a model; returns when it is acknowledged."""
        await self._publisher.publish([outgoing(model)])


def _decoded(values: Iterable[bytes]) -> dict[str, TrainingJob]:
    found = {}
    for value in values:
        try:
            job = TrainingJob.decode(value)
        except ValidationError as error:
            log.warning("job.invalid", error=str(error.errors()[0]["msg"]))
        else:
            found[job.job_id] = job
    return found
