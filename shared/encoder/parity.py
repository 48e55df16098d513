"""Whether a model gives the same vectors in training, in evaluation and where it is served.

Each stage notes the vectors that it gives to a few texts: training in the model's directory (`RECORD`), by
the weights as they were in memory; evaluation in the model's record, by the encoder that was judged. Whoever
loads the model to serve it embeds the texts once more. A stage that gives other vectors than the one before,
by another library, processor, precision, prompt or tokenizer, is refused before it meets an index.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from pydantic import TypeAdapter, ValidationError

from schemas.control import Model, ModelProbe
from shared.arrays import Vectors
from shared.encoder.pipeline import json_object
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

RECORD = "headrace.json"
"""What a fit leaves in the directory of its model, beside the library's files."""
PROBES = "probes"
PACKAGED_PROBES = Path(__file__).with_name("packaged_probes.json")
TEXTS = (
    "red lamp",
    "Oak chair for home, 2 pieces: good and cheap (45 × 60 cm)",
    "LED-Lampe für draußen, 防水 IP65, [PAD] <s> café",
    "Small oak table with two drawers and steel handles, for a bedroom or an office. " * 8,
)
ROLES: tuple[Literal["query", "document"], ...] = ("query", "document")
Precision = Literal["fp32", "int8"]
PARITY: Mapping[Precision, float] = {"fp32": 0.999, "int8": 0.99}
"""The least cosine of two stages. Runtimes in fp32 agree to 0.9999 and bf16 to 0.999 by their own proofs; in
int8 processors without instructions for it round in another way, and its training was in fp32."""


class VectorSource(Protocol):
    """What gives vectors: an encoder, or a model in training."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text."""
        ...


def probes_of(embedding: VectorSource) -> tuple[ModelProbe, ...]:
    """Return what a stage notes of the vectors that it gives (blocking)."""
    return tuple(
        ModelProbe(role=role, text=text, vector=base64.b64encode(row.astype("<f2").tobytes()).decode())
        for role in ROLES
        for text, row in zip(TEXTS, _encode(embedding, role, TEXTS), strict=True)
    )


def training_probes(directory: Path) -> tuple[ModelProbe, ...]:
    """Return what training noted in a directory; nothing of one that was not made here.

    Raises `ConfigurationError` when it cannot be read.
    """
    noted = json_object(directory / RECORD).get(PROBES, ())
    try:
        return TypeAdapter(tuple[ModelProbe, ...]).validate_python(noted)
    except ValidationError as error:
        raise ConfigurationError(f"{directory / RECORD}: {PROBES}: {error.errors()[0]['msg']}") from error


def packaged_probes(settings: ModelSettings) -> tuple[ModelProbe, ...]:
    """Return what torch gives of the packaged model; nothing when these settings make another one of it."""
    usual = ModelSettings()
    made_by = ("path", "query_prompt", "document_prompt", "max_tokens")
    if any(getattr(settings, name) != getattr(usual, name) for name in made_by):
        return ()
    return TypeAdapter(tuple[ModelProbe, ...]).validate_json(PACKAGED_PROBES.read_bytes())


def check_stages(model: Model) -> None:
    """Raise `ConfigurationError` when a record's own stages, training and evaluation, differ."""
    if words := difference(model.training_probes, model.probes, precision=model.precision):
        raise ConfigurationError(
            f"model {model.model_id}: evaluation differs from training, {words}: its directory was changed "
            "in between, or is read otherwise; train and evaluate it anew"
        )


def check_parity(encoder: VectorSource, model: Model) -> None:
    """Raise `ConfigurationError` unless all stages agree; `encoder` is that of serving (blocking)."""
    check_stages(model)
    served = noted_by(encoder, model.probes)
    if words := difference(model.probes, served, precision=model.precision):
        raise ConfigurationError(
            f"model {model.model_id}: serving differs from evaluation, {words}: compare the versions of the "
            "libraries, model.runtime and model.precision"
        )


def noted_by(encoder: VectorSource, probes: Iterable[ModelProbe]) -> tuple[ModelProbe, ...]:
    """Return the same probes with the vectors that this encoder gives (blocking)."""
    return tuple(
        probe.model_copy(update={"vector": base64.b64encode(row.astype("<f2").tobytes()).decode()})
        for probe in probes
        for row in _encode(encoder, probe.role, [probe.text])
    )


def difference(before: Iterable[ModelProbe], after: Iterable[ModelProbe], *, precision: Precision) -> str:
    """Return in words where two stages differ most, when it is beyond the bound; empty: they do not.

    A text that only one of them has says nothing. Raises `ConfigurationError` when a vector is none.
    """
    known = {(probe.role, probe.text): _vector(probe) for probe in before}
    pairs = ((probe, known.get((probe.role, probe.text)), _vector(probe)) for probe in after)
    cosines = [(_cosine(row, other), probe) for probe, row, other in pairs if row is not None]
    least, probe = min(cosines, key=lambda pair: pair[0], default=(1.0, None))
    if probe is None or least >= PARITY[precision]:
        return ""
    return f"cosine {least:.4f} (at least {PARITY[precision]}) of the {probe.role} {probe.text[:40]!r}"


def recorded_precision(settings: ModelSettings) -> Precision:
    """Return in what a model's record says that it computes, by these settings."""
    return "int8" if settings.precision == "int8" else "fp32"


def _encode(embedding: VectorSource, role: str, texts: Sequence[str]) -> Vectors:
    return embedding.encode_queries(texts) if role == "query" else embedding.encode_documents(texts)


def _vector(probe: ModelProbe) -> Vectors:
    try:
        row = np.frombuffer(base64.b64decode(probe.vector, validate=True), "<f2").astype(np.float32)
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(f"what is noted of {probe.text[:40]!r} is no vector: {error}") from error
    return row


def _cosine(row: Vectors, other: Vectors) -> float:
    """Return the cosine of two unit vectors; -1 where they are not of one length, or no numbers."""
    cosine = float(row @ other) if row.shape == other.shape else -1.0
    return cosine if np.isfinite(cosine) else -1.0
