"""Whether a model directory is served: looked through, loaded, its vectors held against the library's own.

The second model is loaded by sentence-transformers alone, so that weights which are not all there (what is
missing is drawn at random) do not agree with themselves.
"""

from pathlib import Path

from schemas.base import Value
from shared.encoder.description import Encoding, default_prompt, read_encoding
from shared.encoder.directory import model_directory, other_files, unread
from shared.encoder.loading import load_encoder
from shared.encoder.runtimes.port import AGREEMENT
from shared.errors import ConfigurationError
from shared.settings import ModelSettings


class Admission(Value):
    """What becomes of a model directory, and why."""

    directory: str
    refused: str = ""
    """Why it is not served; empty: it is."""
    modules: tuple[str, ...] = ()
    query_prompt: str = ""
    document_prompt: str = ""
    references: tuple[str, str] = ("", "")
    """The library's calls for queries and for documents whose vectors are the served ones."""
    dimensions: int = 0
    width: int = 0
    """Numbers in the model's own vectors; of a Matryoshka model more than are kept."""
    max_tokens: int = 0
    """0: it reads all of a text."""
    fingerprint: str = ""
    cosines: tuple[float, float] = (0.0, 0.0)
    """The least between a vector that is served and the library's, of queries and of documents."""
    notes: tuple[str, ...] = ()
    """What its owner should know, a sentence each."""


def admit(directory: Path, settings: ModelSettings) -> Admission:
    """Return whether the directory is served and with what, by these settings.

    Blocking: it is loaded, in fp32 on a CPU whatever the settings say.
    """
    exact = settings.model_copy(update={"path": directory, "device": "cpu", "precision": "fp32"})
    admission = Admission(directory=str(directory))
    try:
        path = model_directory(directory)
        admission = admission.model_copy(update=_described(read_encoding(path, settings)))
        return admission.model_copy(update={"cosines": _cosines(read_encoding(path, exact), exact)})
    except ConfigurationError as error:
        return admission.model_copy(update={"refused": " ".join(str(error).split())})


def _described(encoding: Encoding) -> dict[str, object]:
    from shared.encoder.comparison import reference  # noqa: PLC0415 - it imports torch

    return {
        "modules": encoding.pipeline.modules,
        "query_prompt": encoding.query.text,
        "document_prompt": encoding.document.text,
        "references": (reference("query", encoding.query), reference("document", encoding.document)),
        "dimensions": encoding.dimensions,
        "width": encoding.pipeline.width,
        "max_tokens": encoding.max_tokens,
        "fingerprint": encoding.description.fingerprint,
        "notes": tuple(_notes(encoding)),
    }


def _notes(encoding: Encoding) -> list[str]:
    longest, name = encoding.pipeline.longest, default_prompt(encoding.directory)
    notes = [unread(other_files(encoding.directory))]
    if longest is not None and longest > encoding.max_tokens:
        notes.append(f"reads {encoding.max_tokens} of its {longest} tokens: model.max_tokens")
    if name:
        notes.append(f"default_prompt_name {name!r} is for `encode` alone, as in the library: not used")
    if not encoding.packs:
        notes.append("run by sentence-transformers itself: no other runtime, and passes are not packed")
    return [note for note in notes if note]


def _cosines(encoding: Encoding, settings: ModelSettings) -> tuple[float, float]:
    from shared.encoder.comparison import cosines, load_library  # noqa: PLC0415 - it imports torch

    served = load_encoder(settings)
    by_role = cosines(served, load_library(encoding), encoding)
    query, document = by_role["query"], by_role["document"]
    if not min(query, document) >= AGREEMENT:
        raise ConfigurationError(
            f"{encoding.directory}: loaded twice it gives other vectors (cosine {query:.4f} of queries, "
            f"{document:.4f} of documents): do its weights lack a part?"
        )
    return query, document
