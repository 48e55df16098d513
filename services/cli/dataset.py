"""`headrace dataset build | show`."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.trainer.dataset.build import DatasetInputs
    from services.trainer.dataset.domain.dataset import Dataset, DatasetManifest
    from services.trainer.dataset.settings import DatasetSettings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Build training data from judgements, or show what is in it.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
EXAMPLES = 3


def _settings() -> "DatasetSettings":
    from services.trainer.dataset.settings import DatasetSettings  # noqa: PLC0415  lazy: see main
    from shared.infrastructure.running import discover  # noqa: PLC0415  lazy: see main

    return discover(DatasetSettings.load())


@app.command("build")
def build(
    name: Annotated[str, typer.Option(help="Its name; absent: made from what it is built of.")] = "",
    judgements: Annotated[
        list[str] | None,
        typer.Option(help="Only these judgements: partition:start-end, again for each partition."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the sample of the corpus.", min=0)] = 0,
    like: Annotated[
        Path | None,
        typer.Option(help="Build what this manifest describes again and compare; exit 1 if it differs."),
    ] = None,
    json_: Json = False,
) -> None:
    """Build a data set from what the topics hold: clean it, split it, prove that nothing leaks.

    Which settings decide what goes in: `headrace config show`, section `dataset`.
    """
    settings = _settings()
    before = _manifest(like) if like else None
    origin = asyncio.run(_origin(settings, judgements or [], seed=seed, before=before))
    name = name or (f"{before.name[:50]}-again" if before else origin.name)
    dataset = _build_with_progress(settings, origin, name)
    if before is None:
        _report(dataset, json_=json_)
    else:
        _compare(before, dataset.manifest, json_=json_)


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="The data set's name.")], json_: Json = False) -> None:
    """Show a data set: its splits, what was left out, what was proved, and examples."""
    _report(kept_dataset(name), json_=json_)


def kept_dataset(name: str) -> "Dataset":
    """Return the data set of that name; raises `ConfigurationError` when there is none."""
    from services.trainer.dataset.build import directory_of  # noqa: PLC0415  lazy: see main
    from services.trainer.dataset.files import read  # noqa: PLC0415  lazy: see main

    return read(directory_of(_settings(), name))


def present_dataset() -> "Dataset":
    """Return the data set of all that the topics hold now; built, and kept, unless it was before."""
    from services.trainer.dataset.build import directory_of  # noqa: PLC0415  lazy: see main
    from services.trainer.dataset.files import read  # noqa: PLC0415  lazy: see main

    settings = _settings()
    origin = asyncio.run(_origin(settings, [], seed=0, before=None))
    directory = directory_of(settings, origin.name)
    return read(directory) if directory.exists() else _build_with_progress(settings, origin, origin.name)


def _manifest(like: Path) -> "DatasetManifest":
    from services.trainer.dataset.files import read_manifest  # noqa: PLC0415  lazy: see main

    return read_manifest(like if like.is_dir() else like.parent)


async def _origin(
    settings: "DatasetSettings", texts: list[str], *, seed: int, before: "DatasetManifest | None"
) -> "DatasetInputs":
    from services.trainer.dataset import build as datasets  # noqa: PLC0415  lazy: see main
    from services.trainer.dataset import sources  # noqa: PLC0415  lazy: see main
    from shared.generations.rollout_log import read_rollouts  # noqa: PLC0415  lazy: see main
    from shared.version import code_version  # noqa: PLC0415  lazy: see main

    if before is not None:
        return datasets.DatasetInputs.of(before, code_version=code_version())
    ranges = sources.parse_ranges(texts)
    live = (await read_rollouts(settings)).generations.live  # whose negatives are the ones to learn from
    settings = settings.model_copy(update={"generation": live or settings.generation})
    return await datasets.present_inputs(settings, judgements=ranges, seed=seed, code_version=code_version())


def _build_with_progress(settings: "DatasetSettings", origin: "DatasetInputs", name: str) -> "Dataset":
    """Build and write it, with a bar for each topic."""
    from dataclasses import replace  # noqa: PLC0415  lazy: see main

    from services.cli.progress import bars  # noqa: PLC0415  lazy: see main
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main
    from services.trainer.dataset import build as datasets  # noqa: PLC0415  lazy: see main
    from services.trainer.dataset.files import write  # noqa: PLC0415  lazy: see main
    from services.trainer.dataset.sources import READ  # noqa: PLC0415  lazy: see main

    with bars(Terminal(stderr=True)) as progress:
        tasks = {topic: progress.add_task(topic, total=None) for topic in READ}

        def show_progress(topic: str, done: int, total: int) -> None:
            progress.update(tasks[topic], completed=done, total=total)

        dataset = asyncio.run(datasets.build(settings, origin, name=name, progress=show_progress))
    return replace(dataset, manifest=write(dataset, datasets.directory_of(settings, name)))


def _compare(before: "DatasetManifest", now: "DatasetManifest", *, json_: bool) -> None:
    from services.trainer.dataset.build import differences  # noqa: PLC0415  lazy: see main

    unequal = differences(before, now)
    if json_:
        print(
            json.dumps({"name": now.name, "like": before.name, "same": not unequal, "differences": unequal})
        )
    else:
        print("\n".join(unequal) or f"{now.name} is {before.name}, bit for bit")
    if unequal:
        raise typer.Exit(1)


def _report(dataset: "Dataset", *, json_: bool) -> None:
    if json_:
        print(dataset.manifest.model_dump_json())
        return
    from services.cli.dataset_view import show as view  # noqa: PLC0415  lazy: see main

    view(dataset, examples=EXAMPLES)
