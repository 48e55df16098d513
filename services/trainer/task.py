"""What the worker hands to the process that does a job, and what comes back: files in the job's folder."""

from collections.abc import Mapping
from enum import IntEnum
from hashlib import sha256
from pathlib import Path

from pydantic import ConfigDict

from schemas.base import Fingerprint, Score, Value
from schemas.control import TrainingJob
from shared.settings import Settings

TASK, RESULT, LOG = "task.json", "result.json", "log.jsonl"


class Exit(IntEnum):
    """How the process ends when it is not killed."""

    DONE = 0
    REFUSED = 2
    """It cannot be done, and not by another try either."""
    LATER = 75
    """Something was away: the broker, say (EX_TEMPFAIL)."""


class Base(Value):
    """The model that a job begins with, and that its candidate must be better than."""

    model_config = ConfigDict(frozen=True)

    path: Path
    model_id: str = ""
    fingerprint: Fingerprint


class Task(Value):
    """A job with its data set's ranges, and its base."""

    job: TrainingJob
    base: Base
    generation: str


class Said(Value):
    """One line of the process: how far it is, or what went wrong."""

    stage: str = ""
    share: Score = 0.0
    figures: Mapping[str, Score] = {}
    error: str = ""


def name_of(job_id: str) -> str:
    """Return what a job's folder is called: an id may hold anything, a file's name may not."""
    return sha256(job_id.encode()).hexdigest()[:12]


def folder_of(settings: Settings, job_id: str) -> Path:
    """Return where a job works: its task, its checkpoints, its result."""
    return settings.data_dir.resolve() / "training" / name_of(job_id)


def model_id_of(job_id: str) -> str:
    """Return the id of the model that a job makes; the same, however often it is begun."""
    return f"m-{name_of(job_id)}"


def model_of(settings: Settings, model_id: str) -> Path:
    """Return the directory of a model that was made here."""
    return settings.data_dir.resolve() / "models" / model_id
