"""`headrace models list | show | check | import`: the models that there are to roll out."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import orjson
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from schemas.base import Identifier
from schemas.control import Model
from shared.clock import SystemClock
from shared.encoder.admission import Admission, admit
from shared.errors import ConfigurationError
from shared.infrastructure.running import discover
from shared.kafka.client import require_topics
from shared.kafka.compacted import read_items, read_once
from shared.kafka.publisher import publish_once
from shared.ports import outgoing
from shared.settings import Settings
from shared.version import code_version

app = typer.Typer(no_args_is_help=True, help="List the models, show one, or import one from elsewhere.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CARD = "MODEL.md"


@app.command("list")
def list_(json: Json = False) -> None:
    """List every model, newest first."""
    models = sorted(_models(_settings()).values(), key=lambda model: model.created_at, reverse=True)
    if json:
        print(orjson.dumps([model.model_dump(mode="json") for model in models]).decode())
        return
    table = Table("model", "kind", "verdict", "made", "why", "fingerprint")
    for model in models:
        made_at, why = f"{model.created_at:%Y-%m-%d %H:%M}", model.reasons[0] if model.reasons else ""
        table.add_row(model.model_id, model.kind, model.verdict, made_at, why, model.fingerprint)
    Console().print(table)


@app.command()
def show(model_id: Annotated[str, typer.Argument(help="The model's id.")], json: Json = False) -> None:
    """Show a model's card: what it was made of, its figures, and the verdict."""
    model = _models(_settings()).get(model_id)
    if model is None:
        raise ConfigurationError(f"there is no model {model_id!r}: `headrace models list` has their ids")
    card = Path(model.location) / CARD
    if json or not card.is_file():
        print(model.model_dump_json(indent=2))
        return
    Console().print(Markdown(card.read_text(encoding="utf-8")))


@app.command()
def check(
    directory: Annotated[
        Path | None,
        typer.Argument(help="A model directory; absent: tiny ones of every shape, made for this."),
    ] = None,
    json: Json = False,
) -> None:
    """Say how a directory would be served, held against sentence-transformers, or why it is refused.

    Nothing has to run. Exit 1: a directory is refused, or a shape is not treated as it should be.
    """
    if directory is not None:
        admission = admit(directory.resolve(), Settings.load().model)
        if json:
            print(admission.model_dump_json())
        else:
            _print_admission(admission)
        raise typer.Exit(bool(admission.refused))
    from services.lab.models.shapes import REFUSED, SHAPES, make  # noqa: PLC0415 - it imports torch

    with TemporaryDirectory() as place:
        paths = {name: Path(place) / str(number) / "model" for number, name in enumerate(SHAPES)}
        shapes = {name: admit(make(name, path), Settings.load().model) for name, path in paths.items()}
    if json:
        rows = [{"shape": name, **admission.model_dump(mode="json")} for name, admission in shapes.items()]
        print(orjson.dumps(rows).decode())
    else:
        _print_shapes(shapes)
    raise typer.Exit(any((name in REFUSED) != bool(admission.refused) for name, admission in shapes.items()))


@app.command("import")
def import_(
    directory: Annotated[Path, typer.Argument(help="A sentence-transformers directory (safetensors).")],
    model_id: Annotated[str, typer.Option("--id", help="Its id; absent: made from its fingerprint.")] = "",
    json: Json = False,
) -> None:
    """Register a model that was not made here; the workers must see the directory under the same path.

    A directory that could run code, that is not whole, or whose vectors are not those of
    sentence-transformers, is refused with its reason: `headrace models check` says all of it.
    """
    settings = _settings()
    admission = admit(directory.resolve(), settings.model)
    if admission.refused:
        raise ConfigurationError(admission.refused)
    for note in admission.notes:
        Console(stderr=True).print(Text(note))
    model_id = model_id or f"m-{admission.fingerprint}"
    try:
        TypeAdapter(Identifier).validate_python(model_id)
    except ValidationError as error:
        raise ConfigurationError(f"--id: {error.errors()[0]['msg']}") from error
    registered = _models(settings).get(model_id)
    if registered is not None and registered.fingerprint != admission.fingerprint:
        raise ConfigurationError(
            f"--id: {model_id} is another model, {registered.fingerprint}; ids are not reused"
        )
    model = Model(
        model_id=model_id,
        fingerprint=admission.fingerprint,
        location=admission.directory,
        dimensions=admission.dimensions,
        verdict="imported",
        code_version=code_version(),
        created_at=SystemClock().now(),
    )
    asyncio.run(_publish(settings, model))
    done = f"{model_id}: {admission.dimensions} dimensions; roll it out with `headrace rollout backfill`"
    print(model.model_dump_json() if json else done)


def _print_admission(admission: Admission) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    roles = (
        ("queries", admission.query_prompt, admission.references[0], admission.cosines[0]),
        ("documents", admission.document_prompt, admission.references[1], admission.cosines[1]),
    )
    if admission.modules:
        table.add_row("made of", Text(", ".join(admission.modules)))
        table.add_row("dimensions", _dimensions(admission))
        table.add_row("tokens of a text", str(admission.max_tokens or "all"))
        table.add_row("fingerprint", admission.fingerprint)
    for role, prompt, reference, cosine in roles if admission.modules else ():
        measured = "" if admission.refused else f", cosine {cosine:.6f}"
        table.add_row(role, Text(f"prompt {prompt!r}, as {reference}{measured}"))
    for note in admission.notes:
        table.add_row("note", Text(note))
    verdict = f"refused: {admission.refused}" if admission.refused else "served"
    table.add_row("verdict", Text(verdict))
    Console().print(table)


def _print_shapes(shapes: Mapping[str, Admission]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("shape", "dimensions", "prompts", "fingerprint", "cosines", "verdict"):
        table.add_column(column, overflow="fold")
    for name, admission in shapes.items():
        prompts = f"{admission.query_prompt!r} / {admission.document_prompt!r}"
        is_prompted = admission.query_prompt or admission.document_prompt
        cells = (
            _dimensions(admission) if admission.modules else "",
            prompts if is_prompted else "",
            admission.fingerprint,
            "" if admission.refused else " / ".join(f"{cosine:.6f}" for cosine in admission.cosines),
            _without_place(admission) if admission.refused else "served",
        )
        table.add_row(name, *(Text(cell) for cell in cells))
    Console().print(table)


def _dimensions(admission: Admission) -> str:
    kept, width = admission.dimensions, admission.width
    return str(kept) if kept == width else f"{kept} of {width}"


def _without_place(admission: Admission) -> str:
    """Return why a directory that is gone in a moment was refused."""
    return f"refused: {admission.refused.replace(admission.directory, '').lstrip('/: ')}"


def _settings() -> Settings:
    return discover(Settings.load())


def _models(settings: Settings) -> dict[str, Model]:
    items = asyncio.run(read_once(settings, Model.topic)).items
    return {model.model_id: model for model in read_items(Model, items.values())}


async def _publish(settings: Settings, model: Model) -> None:
    await require_topics(settings, [Model.topic])
    await publish_once(settings, [outgoing(model)])
