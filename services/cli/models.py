"""`headrace models list | show | import`: the models that there are to roll out."""

import asyncio
from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from schemas.base import Identifier
from schemas.control import Model
from shared.clock import SystemClock
from shared.encoder.description import describe
from shared.encoder.directory import model_directory
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


@app.command("import")
def import_(
    directory: Annotated[Path, typer.Argument(help="A sentence-transformers directory (safetensors).")],
    model_id: Annotated[str, typer.Option("--id", help="Its id; absent: made from its fingerprint.")] = "",
    json: Json = False,
) -> None:
    """Register a model that was not made here; the workers must see the directory under the same path.

    A directory that could run code, or that is not whole, is refused with its reason.
    """
    settings = _settings()
    path = model_directory(directory.resolve())
    description = describe(path, settings.model)
    model_id = model_id or f"m-{description.fingerprint}"
    try:
        TypeAdapter(Identifier).validate_python(model_id)
    except ValidationError as error:
        raise ConfigurationError(f"--id: {error.errors()[0]['msg']}") from error
    registered = _models(settings).get(model_id)
    if registered is not None and registered.fingerprint != description.fingerprint:
        raise ConfigurationError(
            f"--id: {model_id} is another model, {registered.fingerprint}; ids are not reused"
        )
    model = Model(
        model_id=model_id,
        fingerprint=description.fingerprint,
        location=str(path),
        dimensions=description.dimensions,
        verdict="imported",
        code_version=code_version(),
        created_at=SystemClock().now(),
    )
    asyncio.run(_publish(settings, model))
    done = f"{model_id}: {description.dimensions} dimensions; roll it out with `headrace rollout backfill`"
    print(model.model_dump_json() if json else done)


def _settings() -> Settings:
    return discover(Settings.load())


def _models(settings: Settings) -> dict[str, Model]:
    items = asyncio.run(read_once(settings, Model.topic)).items
    return {model.model_id: model for model in read_items(Model, items.values())}


async def _publish(settings: Settings, model: Model) -> None:
    await require_topics(settings, [Model.topic])
    await publish_once(settings, [outgoing(model)])
