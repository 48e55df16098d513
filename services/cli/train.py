"""`headrace train`: asks for a training job, and shows how it goes."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from schemas.base import Scalar
from schemas.control import Model, TrainingJob
from services.cli.progress import bars
from services.trainer.domain.job import ENDED
from services.trainer.domain.recipe import Recipe
from services.trainer.jobs import JobBook
from shared.adapters.kafka import KafkaPublisher
from shared.clock import SystemClock
from shared.errors import ConfigurationError, FatalError
from shared.infrastructure.running import discover
from shared.settings import Settings

app = typer.Typer()
LOOK_SECONDS = 0.3


@app.command()
def train(
    kind: Annotated[str, typer.Option(help="encoder, reranker or late-interaction.")] = "encoder",
    base: Annotated[str, typer.Option(help="Id of a model to begin with; absent: the live one.")] = "",
    seed: Annotated[int, typer.Option(help="Of data set and training.", min=0)] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="A setting of the recipe, such as epochs=3; may be repeated.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Show its progress until it has ended.")] = True,
    jobs: Annotated[bool, typer.Option("--jobs", help="List the jobs there are, and ask for none.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask the trainer for a model, and wait for it; exit 1 when the job fails."""
    settings = discover(Settings.load())
    if jobs:
        show_jobs(asyncio.run(all_jobs(settings)), as_json=json)
        return
    job = requested(kind, base, options=read_options(option or ()), seed=seed, now=SystemClock().now())
    console = Console(stderr=True)
    with bars(console) as progress:
        bar = progress.add_task("waits for a trainer", total=1.0)

        def told(it: TrainingJob) -> None:
            if it.status in ENDED:
                progress.update(bar, description=it.status, completed=1.0)
            elif it.status != "requested":
                progress.update(bar, description=it.stage or it.status, completed=it.progress)

        ended, model = asyncio.run(ask(settings, job, wait=wait, told=told))
    if json:
        print(orjson.dumps(_told(ended, model)).decode())
    else:
        show(console, ended, model)
    if ended.status == "failed":
        raise FatalError(f"job {ended.job_id} failed: {ended.error}")


def requested(
    kind: str, base: str, *, options: Mapping[str, Scalar], seed: int, now: datetime
) -> TrainingJob:
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


def read_options(given: tuple[str, ...] | list[str]) -> dict[str, Scalar]:
    """Read `name=value`, where a value is JSON or else a string; raises `ConfigurationError`."""
    options: dict[str, Scalar] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"an option is written name=value, as in epochs=3, not {text!r}")
        try:
            options[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            options[name] = value
    return options


async def ask(
    settings: Settings, job: TrainingJob, *, wait: bool = True, told: Callable[[TrainingJob], None]
) -> tuple[TrainingJob, Model | None]:
    """Publish the job and return it as it ended (as it was requested, without `wait`), and its model.

    `told` hears how far it is.
    """
    publisher = KafkaPublisher(settings)
    book = JobBook(settings, publisher)
    await publisher.start()
    try:
        await book.start()
        await book.publish(job)
        if wait:
            job = await _followed(book, job.job_id, told)
        return job, book.model(job.model_id) if job.model_id else None
    finally:
        await book.stop()
        await publisher.stop()


async def _followed(book: JobBook, job_id: str, told: Callable[[TrainingJob], None]) -> TrainingJob:
    while (job := book.jobs()[job_id]).status not in ENDED:
        told(job)
        await asyncio.sleep(LOOK_SECONDS)
    told(job)
    return job


async def all_jobs(settings: Settings) -> list[TrainingJob]:
    """Return every job, oldest first."""
    publisher = KafkaPublisher(settings)  # never started: nothing is written
    book = JobBook(settings, publisher)
    try:
        await book.start()
        return sorted(book.jobs().values(), key=lambda job: job.updated_at)
    finally:
        await book.stop()


def show(console: Console, job: TrainingJob, model: Model | None) -> None:
    """Print how the job ended, and what is to be known of its model."""
    if model is None:
        console.print(f"{job.job_id}: {job.status}")
        return
    table = Table("metric", "value", title=f"{model.model_id}: {model.verdict}")
    for name, value in model.metrics.items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    for reason in model.reasons:
        console.print(f"  {reason}")
    console.print(f"in {model.location}")


def show_jobs(jobs: list[TrainingJob], *, as_json: bool) -> None:
    """Print the jobs."""
    if as_json:
        print(orjson.dumps([_told(job, None) for job in jobs]).decode())
        return
    table = Table("job", "kind", "status", "stage", "progress", "model", "worker", "error")
    for job in jobs:
        share = f"{job.progress:.0%}"
        table.add_row(
            job.job_id, job.kind, job.status, job.stage, share, job.model_id or "", job.worker, job.error
        )
    Console().print(table)


def _told(job: TrainingJob, model: Model | None) -> dict[str, object]:
    return {**job.model_dump(mode="json"), "model": model and model.model_dump(mode="json")}
