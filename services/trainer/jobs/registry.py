"""The jobs and models on the bus, followed and written."""

from collections.abc import Mapping

from schemas.control import Model, TrainingJob
from shared.kafka.compacted import CompactedTopic, read_item, read_items
from shared.ports import Publisher, outgoing
from shared.records import Partition
from shared.settings import Settings


class JobRegistry:
    """The part of a worker that follows `training.jobs.v1` and `models.v1`, and writes them."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._jobs = CompactedTopic(settings, TrainingJob.topic)
        self._models = CompactedTopic(settings, Model.topic)
        self._publisher = publisher
        self._written: dict[str, TrainingJob] = {}

    @property
    def positions(self) -> Mapping[Partition, int]:
        """The next offsets of both topics."""
        return {**self._jobs.positions, **self._models.positions}

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
        read = {job.job_id: job for job in read_items(TrainingJob, self._jobs.items.values())}
        return latest(read, self._written)

    def model(self, model_id: str) -> Model | None:
        """Return the model of that id."""
        return read_item(Model, self._models.items.get(model_id.encode()))

    async def publish(self, job: TrainingJob) -> None:
        """Write a job's new state; returns when it is acknowledged."""
        await self._publisher.publish([outgoing(job)])
        self._written[job.job_id] = job

    async def publish_model(self, model: Model) -> None:
        """Write a model; returns when it is acknowledged."""
        await self._publisher.publish([outgoing(model)])


def latest(read: Mapping[str, TrainingJob], written: Mapping[str, TrainingJob]) -> dict[str, TrainingJob]:
    """Return the jobs by id, of two states of one job the newer: what was read, when they are of one time."""
    newer = {
        job_id: job
        for job_id, job in written.items()
        if job_id not in read or read[job_id].updated_at < job.updated_at
    }
    return {**read, **newer}
