"""What a model directory says of itself, read before any library sees it: its fingerprint and dimensions."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from schemas.control import Model
from shared.encoder.directory import check_directory
from shared.encoder.fingerprint import fingerprint
from shared.encoder.pipeline import DESCRIPTION, Pipeline, json_object, pair_width, read_pipeline
from shared.errors import AbsentError, ConfigurationError
from shared.settings import ModelSettings

QUERY_NAMES = ("query",)
DOCUMENT_NAMES = ("document", "passage", "corpus")
"""By what names sentence-transformers looks for the prompt of a document, in this order."""


class Description(NamedTuple):
    """What the model would be when it was loaded."""

    fingerprint: str
    dimensions: int


class Prompt(NamedTuple):
    """What goes before each text of a kind, and under which name the directory has it (empty: none)."""

    name: str = ""
    text: str = ""


class Encoding(NamedTuple):
    """All that makes vectors of texts, of a directory and the settings it is loaded with."""

    directory: Path
    pipeline: Pipeline
    query: Prompt
    document: Prompt
    max_tokens: int
    """Of a text, its prompt included; 0: all of them."""
    dimensions: int
    """The first so many numbers of a vector are kept, and brought to length one."""
    is_int8: bool = False
    """Whether it multiplies whole numbers: that makes other vectors, on every machine nearly the same."""

    @property
    def packs(self) -> bool:
        """Whether texts are tokenised here and packed by tokens, for any runtime."""
        prompted = self.query.text or self.document.text
        return self.pipeline.packs and (self.pipeline.pools_prompt or not prompted)

    @property
    def description(self) -> Description:
        """What all this amounts to."""
        prompted = self.query.text, self.document.text
        described: dict[str, str | int] = {"max_tokens": self.max_tokens, "dimensions": self.dimensions}
        if self.is_int8:
            described["precision"] = "int8"
        return _description(self.directory, prompted, described)


def check_model(settings: ModelSettings, model: Model) -> None:
    """Raise `ConfigurationError` with the reason unless the directory holds that very model, safe to load.

    `settings` name the directory. Nothing is run or unpickled: files are listed, hashed, and read as JSON.
    """
    if settings.path is None:
        raise ConfigurationError(f"model {model.model_id} has no directory")
    described = describe if model.kind == "encoder" else describe_pairs
    try:
        check_directory(settings.path)
        description = described(settings.path, settings)
    except OSError as error:  # such as of a share that went away
        raise AbsentError(f"model {model.model_id}: {settings.path} cannot be read: {error}") from error
    compare(description, model)


def recorded(configured: ModelSettings, model: Model) -> ModelSettings:
    """Return the settings by which a recorded model is loaded: its directory, in its own precision."""
    precision = configured.precision
    if model.precision == "int8" or precision == "int8":
        precision = "int8" if model.precision == "int8" else "auto"
    return configured.model_copy(update={"path": Path(model.location), "precision": precision})


def compare(description: Description, model: Model) -> None:
    """Raise `ConfigurationError` when a directory's description is not what the model's record says."""
    dimensions, own = description.dimensions, description.fingerprint
    if dimensions != model.dimensions:
        raise ConfigurationError(
            f"model {model.model_id}: {dimensions} dimensions in {model.location}, its record says "
            f"{model.dimensions}"
        )
    if own != model.fingerprint:
        raise ConfigurationError(
            f"model {model.model_id}: {model.location} has fingerprint {own}, its record says "
            f"{model.fingerprint}: the files, the prompts, model.max_tokens or the precision are not those "
            "that it was made with"
        )


def describe(directory: Path, settings: ModelSettings) -> Description:
    """Return fingerprint and dimensions as its encoder will have them, without loading anything."""
    return read_encoding(directory, settings).description


def describe_pairs(directory: Path, settings: ModelSettings) -> Description:
    """Do the same for a model that reads a query beside a product."""
    width, longest = pair_width(directory)
    query, document = prompts(directory)
    prompted = settings.query_prompt or query.text, settings.document_prompt or document.text
    max_tokens = min(settings.max_tokens, longest or settings.max_tokens)
    dimensions = _dimensions(directory, width)
    return _description(directory, prompted, {"max_tokens": max_tokens, "dimensions": dimensions})


def read_encoding(directory: Path, settings: ModelSettings) -> Encoding:
    """Return how a checked directory makes vectors; raises `ConfigurationError` when none for an index."""
    pipeline = read_pipeline(directory)
    query, document = prompts(directory)
    longest = pipeline.longest
    reads_all = longest is None and not pipeline.packs
    return Encoding(
        directory=directory,
        pipeline=pipeline,
        query=Prompt("model.query_prompt", settings.query_prompt) if settings.query_prompt else query,
        document=Prompt("model.document_prompt", settings.document_prompt)
        if settings.document_prompt
        else document,
        max_tokens=0 if reads_all else min(settings.max_tokens, longest or settings.max_tokens),
        dimensions=_dimensions(directory, pipeline.width),
        is_int8=settings.precision == "int8",
    )


def prompts(directory: Path) -> tuple[Prompt, Prompt]:
    """Return the directory's own prompts, of queries and of documents.

    As in `encode_query` and `encode_document`, but for one case: the library adds an empty `document` to
    every model, also when it saves one, so that a `passage` or `corpus` beside it would be lost. An empty
    one is taken for none here.
    """
    named = json_object(directory / DESCRIPTION).get("prompts")
    texts = named if isinstance(named, dict) else {}

    def first(names: tuple[str, ...]) -> Prompt:
        named_texts = ((name, texts[name]) for name in names if texts.get(name))
        return next((Prompt(name, text) for name, text in named_texts if isinstance(text, str)), Prompt())

    return first(QUERY_NAMES), first(DOCUMENT_NAMES)


def default_prompt(directory: Path) -> str:
    """Return the name of the prompt that `encode` takes of itself, and neither queries nor documents get."""
    default = json_object(directory / DESCRIPTION).get("default_prompt_name")
    return default if isinstance(default, str) and default not in (*QUERY_NAMES, *DOCUMENT_NAMES) else ""


def _description(
    directory: Path, prompted: tuple[str, str], described: Mapping[str, str | int]
) -> Description:
    query, document = prompted
    inputs = {"query_prompt": query, "document_prompt": document, "normalised": True, **described}
    return Description(fingerprint(directory, inputs), int(described["dimensions"]))


def _dimensions(directory: Path, width: int) -> int:
    """Return how many numbers of a vector are kept: all, or those of a Matryoshka model's `truncate_dim`."""
    kept = json_object(directory / DESCRIPTION).get("truncate_dim")
    if kept is None:
        return width
    if isinstance(kept, bool) or not isinstance(kept, int) or kept < 1:
        raise ConfigurationError(
            f"{directory / DESCRIPTION}: truncate_dim is {kept!r}: give a number above 0"
        )
    return min(width, kept)
