"""`headrace models list | show | check | import | convert | quantize`: models to be rolled out."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from pydantic import TypeAdapter, ValidationError
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from schemas.base import Identifier
from schemas.control import Model
from services.cli.listing import Listing
from services.lab.terminal import Terminal
from shared.clock import SystemClock
from shared.encoder.admission import Admission, admit
from shared.encoder.description import check_model, describe, recorded
from shared.encoder.loading import converted, load_encoder
from shared.encoder.parity import check_stages, probes_of, training_probes
from shared.errors import ConfigurationError
from shared.extras import TORCH, require
from shared.infrastructure.running import discover
from shared.kafka.client import require_topics
from shared.kafka.compacted import read_items, read_once
from shared.kafka.publisher import publish_once
from shared.ports import outgoing
from shared.settings import ModelSettings, Settings
from shared.version import code_version

if TYPE_CHECKING:
    from services.trainer.evaluation.domain.quantization import QuantizationVerdict

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List the models, show one, or import one from elsewhere.",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CARD = "MODEL.md"


@app.command("list")
def list_(json: Json = False) -> None:
    """List every model, newest first."""
    models = sorted(_models(_settings()).values(), key=lambda model: model.created_at, reverse=True)
    if json:
        print(orjson.dumps([model.model_dump(mode="json") for model in models]).decode())
        return
    listing = Listing("model", "kind", "precision", "verdict", "made")
    for model in models:
        note = ": ".join([f"fingerprint {model.fingerprint}", *model.reasons[:1]])
        cells = (model.model_id, model.kind, model.precision, model.verdict)
        listing.add(*cells, f"{model.created_at:%Y-%m-%d %H:%M}", note=note)
    listing.show(Terminal(), empty="no models; `headrace train` makes one, `headrace models import` adds one")


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
    Terminal().print(Markdown(card.read_text(encoding="utf-8")))


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
    require("`headrace models check`", *TORCH)
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
    require("`headrace models import`", *TORCH)
    settings = _settings()
    admission = admit(directory.resolve(), settings.model)
    if admission.refused:
        raise ConfigurationError(admission.refused)
    for note in admission.notes:
        Terminal(stderr=True).print(Text(note))
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
    exact = {"path": directory.resolve(), "device": "cpu", "precision": "fp32"}
    model = Model(
        model_id=model_id,
        fingerprint=admission.fingerprint,
        location=admission.directory,
        dimensions=admission.dimensions,
        verdict="imported",
        probes=probes_of(load_encoder(settings.model.model_copy(update=exact))),
        training_probes=training_probes(directory.resolve()),
        code_version=code_version(),
        created_at=SystemClock().now(),
    )
    check_stages(model)
    asyncio.run(_publish(settings, model))
    done = f"{model_id}: {admission.dimensions} dimensions; roll it out with `headrace rollout backfill`"
    print(model.model_dump_json() if json else done)


@app.command()
def convert(
    directory: Annotated[
        Path | None, typer.Argument(help="A sentence-transformers directory; absent: model.path.")
    ] = None,
) -> None:
    """Convert a model for machines without torch, hold it against torch, and keep it in model.cache."""
    require("`headrace models convert`", *TORCH)
    usual = Settings.load().model
    model = usual.model_copy(update={"path": directory or usual.path, "precision": "fp32"})
    name = converted(model)
    print(f"{model.path or 'the packaged model'}: runs in {name}, kept in {model.cache}")


@app.command()
def quantize(
    model_id: Annotated[str, typer.Argument(help="A model that computes in fp32.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv; absent: this shop's own judgements.",
            exists=True,
        ),
    ] = None,
    new_id: Annotated[str, typer.Option("--id", help="Of the new model; absent: the old one's, -int8.")] = "",
    json: Json = False,
) -> None:
    """Register the model in int8, three times as fast on a CPU, unless its answers suffer.

    Admitted when nDCG@10 surely falls by less than 2 %; with fewer than 30 judged queries, when the ten best
    of a sample are 90 % the same. Else it is refused, with the figures, and nothing is registered. Exit 1.
    """
    require("`headrace models quantize`", *TORCH)
    settings = _settings()
    models = _models(settings)
    whole = models.get(model_id)
    if whole is None or whole.kind != "encoder" or whole.precision != "fp32":
        raise ConfigurationError(f"{model_id!r} is no embedding model in fp32: see `headrace models list`")
    new_id = new_id or f"{model_id}-int8"
    loaded = recorded(settings.model, whole)
    in_int8 = loaded.model_copy(update={"precision": "int8"})
    int8 = describe(Path(whole.location), in_int8)
    if new_id in models and models[new_id].fingerprint != int8.fingerprint:
        raise ConfigurationError(f"--id: {new_id} is another model; ids are not reused")
    check_model(loaded, whole)
    verdict = _quantized(loaded, data)
    if verdict.admitted:
        probes = probes_of(load_encoder(in_int8))
        model = quantized(whole, new_id, int8.fingerprint, verdict, SystemClock().now())
        model = model.model_copy(update={"probes": probes})
        asyncio.run(_publish(settings, model))
    answer = f"{new_id}: roll it out with `headrace rollout backfill`" if verdict.admitted else "refused"
    print(verdict.model_dump_json() if json else f"{verdict.reason}\n{answer}")
    raise typer.Exit(not verdict.admitted)


def quantized(
    whole: Model, model_id: str, fingerprint: str, verdict: "QuantizationVerdict", now: datetime
) -> Model:
    """Return the record of a model in int8: its directory is that of the whole one."""
    effect = {} if verdict.effect is None else {"effect of int8": verdict.effect}
    return whole.model_copy(
        update={
            "model_id": model_id,
            "fingerprint": fingerprint,
            "precision": "int8",
            "base_fingerprint": whole.fingerprint,
            "verdict": "admitted",
            "reasons": (f"{whole.model_id} in int8: {verdict.reason}",),
            "trial_sessions": None,
            "training_probes": (),
            "metrics": {"overlap@10 of int8": verdict.overlap, **effect},
            "code_version": code_version(),
            "created_at": now,
        }
    )


def _quantized(model: ModelSettings, data: Path | None) -> "QuantizationVerdict":
    """Hold the model in int8 against the whole one, on grades of people or on this shop's own."""
    from services.trainer.evaluation.quantization import assess  # noqa: PLC0415 - it imports torch
    from services.trainer.settings import Settings as TrainerSettings  # noqa: PLC0415 - likewise

    cut = TrainerSettings.load().embedder.cut
    if data is not None:
        from services.lab.simulation.catalogue import load, relevant_to  # noqa: PLC0415 - for this path alone

        catalogue = load(data)
        asked = {query.id: query.text for query in catalogue.queries}
        grades = {asked[query]: catalogue.grades[query] for query in sorted(relevant_to(catalogue))}
        return assess(model, {product.id: product.title for product in catalogue.products}, grades, cut=cut)
    from services.cli.dataset import present_dataset  # noqa: PLC0415 - for this path alone
    from shared.retrieval.quality import whole_grade  # noqa: PLC0415 - likewise

    dataset = present_dataset()
    judged: dict[str, dict[str, int]] = {}
    for pair in dataset.pairs:
        judged.setdefault(pair.query, {})[pair.product_id] = whole_grade(pair.grade)
    return assess(model, {product.product_id: product.text for product in dataset.products}, judged, cut=cut)


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
    Terminal().print(table)


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
    Terminal().print(table)


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
