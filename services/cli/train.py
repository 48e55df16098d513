"""`headrace train`: asks for a training job, and shows how it goes."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Annotated

import orjson
import typer
from rich.console import Console

from schemas.base import Scalar
from schemas.control import Model, TrainingJob
from services.cli.listing import Listing
from services.cli.neighbours import missing
from services.cli.options import duration
from services.cli.progress import bars
from services.lab.terminal import Terminal
from services.trainer.jobs.domain.job import ENDED
from services.trainer.jobs.requests import LONGEST, all_jobs, ask, new_job
from shared.clock import SystemClock
from shared.errors import ConfigurationError, FatalError
from shared.infrastructure.running import discover
from shared.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def train(
    kind: Annotated[str, typer.Option(help="encoder, reranker or late-interaction.")] = "encoder",
    base: Annotated[str, typer.Option(help="Id of a model to begin with; absent: the live one.")] = "",
    seed: Annotated[int, typer.Option(help="Of data set and training.", min=0)] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="A setting of the recipe, such as epochs=3; may be repeated.")
    ] = None,
    wait: Annotated[timedelta, duration("--wait", help_="Show progress for so long; 0: only ask.")] = LONGEST,
    jobs: Annotated[bool, typer.Option("--jobs", help="List the jobs there are, and ask for none.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask the trainer for a model, and wait for it; exit 1 when the job fails."""
    settings = discover(Settings.load())
    if jobs:
        show_jobs(asyncio.run(all_jobs(settings)), as_json=json)
        return
    job = new_job(kind, base, options=read_options(option or ()), seed=seed, now=SystemClock().now())
    console = Terminal(stderr=True)
    with bars(console) as progress:
        bar = progress.add_task("requested: waits for a trainer", total=1.0)

        def show_progress(job: TrainingJob) -> None:
            if job.status in ENDED:
                progress.update(bar, description=job.status, completed=1.0)
            elif job.status != "requested":
                progress.update(bar, description=job.stage or job.status, completed=job.progress)

        there = partial(missing, "trainer", settings)
        ended, model = asyncio.run(ask(settings, job, wait=wait, on_progress=show_progress, missing=there))
    if json:
        print(orjson.dumps(_as_json(ended, model)).decode())
    else:
        show(console, ended, model)
    if ended.status == "failed":
        raise FatalError(f"job {ended.job_id} failed: {ended.error}")


def read_options(texts: tuple[str, ...] | list[str]) -> dict[str, Scalar]:
    """Read `name=value`, where a value is JSON or else a string; raises `ConfigurationError`."""
    options: dict[str, Scalar] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"an option is written name=value, as in epochs=3, not {text!r}")
        try:
            options[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            options[name] = value
    return options


def show(console: Console, job: TrainingJob, model: Model | None) -> None:
    """Print how the job ended, and what is to be known of its model."""
    if model is None:
        console.print(f"{job.job_id}: {job.status}")
        return
    listing = Listing("metric", "value", right=("value",))
    for name, value in model.metrics.items():
        listing.add(name, f"{value:.4f}")
    console.print(f"{model.model_id}: {model.verdict}")
    listing.show(console, empty="no metrics")
    for reason in model.reasons:
        console.print(f"  {reason}")
    console.print(f"in {model.location}")


def show_jobs(jobs: list[TrainingJob], *, as_json: bool) -> None:
    """Print the jobs."""
    if as_json:
        print(orjson.dumps([_as_json(job, None) for job in jobs]).decode())
        return
    listing = Listing("job", "kind", "status", "progress", right=("progress",))
    for job in jobs:
        made = f"model {job.model_id}" if job.model_id else ""
        where = " on ".join(filter(None, (job.stage, job.worker)))
        note = "; ".join(filter(None, (made, where, job.error)))
        listing.add(job.job_id, job.kind, job.status, f"{job.progress:.0%}", note=note)
    listing.show(Terminal(), empty="no jobs; `headrace train` asks for one")


def _as_json(job: TrainingJob, model: Model | None) -> dict[str, object]:
    return {**job.model_dump(mode="json"), "model": model and model.model_dump(mode="json")}
