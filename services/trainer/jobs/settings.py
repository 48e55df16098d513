"""When jobs are asked for and how they are done: the `[trainer]` section."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from croniter import croniter
from pydantic import Field, field_validator

from schemas.base import Scalar
from schemas.control import TrainingJob
from services.trainer.evaluation.domain.verdict import AdmissionTerms
from services.trainer.evaluation.settings import EvaluationSettings, SearchMode
from services.trainer.learning.domain.recipe import Recipe
from shared.section import Duration, Section
from shared.settings import Port


class TrainerSettings(Section):
    """When a model is trained, and how."""

    port: Port = 8860
    crontab: str = ""
    """When to ask for a job, as cron has it (UTC), such as `0 3 * * 0`; empty: never by the clock."""
    volume: Annotated[int, Field(ge=0)] = 0
    """So many new judgements ask for a job; 0: never by volume."""
    volume_every: Duration = timedelta(seconds=30)
    """How often they are counted."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Workers that may die on a job before it is given up."""
    lease: Duration = timedelta(seconds=30)
    """How long a job waits for a worker that says nothing, before another takes it."""
    nice: Annotated[int, Field(ge=0, le=19)] = 10
    """How much training steps back for searching and indexing on the same machine."""
    recipe: Mapping[str, Scalar] = {}
    """Settings of the recipe, by name; a job may change them."""
    mode: SearchMode = "hybrid"
    """How the shop's front end searches: candidates are judged by the pages that it would show."""
    terms: AdmissionTerms = AdmissionTerms()
    """On what terms a candidate is admitted."""

    @field_validator("crontab")
    @classmethod
    def _is_crontab(cls, crontab: str) -> str:
        if crontab and not croniter.is_valid(crontab):
            raise ValueError(f"{crontab!r} is not a crontab such as '0 3 * * 0'")
        return crontab

    @field_validator("recipe")
    @classmethod
    def _is_recipe(cls, recipe: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        Recipe.of(recipe)
        return recipe


class Settings(EvaluationSettings):
    """The common settings, those of data sets and of judging, and those of jobs."""

    trainer: TrainerSettings = TrainerSettings()


def recipe_of(settings: Settings, job: TrainingJob) -> Recipe:
    """Return a job's recipe: the defaults, the settings, the job's own; raises `ConfigurationError`."""
    return Recipe.of({"seed": job.seed, **settings.trainer.recipe, **job.options, "kind": job.kind})
