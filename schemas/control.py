"""Jobs, models, roll-outs and commands: the low-rate topics that steer the workers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import Fingerprint, GenerationName, Identifier, Message, Offset, Score, Timestamp, Value


class OffsetRange(Value):
    """A half-open range of one partition: `start <= offset < end`."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    start: Offset
    end: Offset


class TrainingJob(Message):
    """One fine-tuning job and how far it has come."""

    topic: ClassVar[str] = "training.jobs.v1"

    job_id: Identifier
    status: Literal["requested", "leased", "running", "succeeded", "failed", "superseded"]
    reason: Literal["periodic", "drift", "volume", "manual"]
    base_model: str
    seed: Annotated[int, Field(ge=0)] = 0
    data: tuple[OffsetRange, ...] = ()
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    worker: str = ""
    error: str = ""
    updated_at: Timestamp

    def key(self) -> bytes:
        """Return the job's id."""
        return self.job_id.encode()


class Model(Message):
    """A model that was built: its lineage, its figures, and the verdict on it."""

    topic: ClassVar[str] = "models.v1"

    model_id: Identifier
    fingerprint: Fingerprint
    location: str
    dimensions: Annotated[int, Field(ge=1, le=8192)]
    base_fingerprint: Fingerprint | None = None
    job_id: Identifier | None = None
    verdict: Literal["admitted", "refused", "imported"]
    metrics: Mapping[str, Score] = {}
    lineage: tuple[OffsetRange, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0
    code_version: str = ""
    created_at: Timestamp

    def key(self) -> bytes:
        """Return the model's id."""
        return self.model_id.encode()


class Rollout(Message):
    """Which generations answer searches, and with what share of the sessions."""

    topic: ClassVar[str] = "rollout.v1"

    action: Literal["backfill", "shadow", "ramp", "promote", "rollback", "retire"]
    generation: GenerationName
    model_id: Identifier | None = None
    weights: Mapping[GenerationName, Annotated[float, Field(ge=0, le=1)]] = {}
    reason: str = ""
    requested_at: Timestamp

    def key(self) -> bytes:
        """Return the generation."""
        return self.generation.encode()


class Command(Message):
    """An order to workers: `worker` names the kind, empty means every one."""

    topic: ClassVar[str] = "control.commands.v1"

    command_id: Identifier
    name: Literal["canaries.run", "shards.snapshot", "log.level"]
    worker: str = ""
    arguments: Mapping[str, str] = {}
    requested_at: Timestamp

    def key(self) -> bytes:
        """Return the command's id."""
        return self.command_id.encode()
