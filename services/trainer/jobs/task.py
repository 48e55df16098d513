"""What the worker hands to the process that does a job, and what comes back: files in the job's folder."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import ConfigDict

from schemas.base import Fingerprint, Score, Value
from schemas.control import TrainingJob
from schemas.judgements import Canary
from shared.settings import Settings

TASK, RESULT, LOG = "task.json", "result.json", "log.jsonl"


class JobBase(Value):
    """The model that a job begins with, and that its candidate must be better than."""

    model_config = ConfigDict(frozen=True)

    path: Path
    model_id: str = ""
    fingerprint: Fingerprint
    dense_weight: Score | None = None
    """The weight of vectors that is served with it; None: none was fitted, or it is void now."""


class Task(Value):
    """A job with its data set's ranges, its base, and what a model of this shop must find."""

    job: TrainingJob
    base: JobBase
    generation: str
    canaries: tuple[Canary, ...] = ()


class ProgressMessage(Value):
    """One line of the process: the stage, how much of it is done, or what went wrong."""

    stage: str = ""
    share: Score = 0.0
    figures: Mapping[str, Score] = {}
    error: str = ""


def folder_name(job_id: str) -> str:
    """Return what a job's folder is called: an id may hold anything, a file's name may not."""
    return sha256(job_id.encode()).hexdigest()[:12]


def folder_of(settings: Settings, job_id: str) -> Path:
    """Return where a job works: its task, its checkpoints, its result."""
    return settings.data_dir.resolve() / "training" / folder_name(job_id)


def model_id_of(job_id: str) -> str:
    """Return the id of the model that a job makes; the same, however often it is begun."""
    return f"m-{folder_name(job_id)}"


def model_directory_of(settings: Settings, model_id: str) -> Path:
    """Return the directory of a model that was made here."""
    return settings.data_dir.resolve() / "models" / model_id
