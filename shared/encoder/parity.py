"""Whether a model gives the vectors here that it gave where it was evaluated.

A model's record carries a few texts with their vectors. Every worker that loads the model embeds them once
more: another library, processor or precision that gives other vectors is refused before it meets an index.
"""

import base64
from collections.abc import Sequence
from typing import Literal

import numpy as np

from schemas.control import Model, ModelProbe
from shared.errors import ConfigurationError
from shared.ports import Encoder, Vectors

TEXTS = (
    "red lamp",
    "Oak chair for home, 2 pieces: good and cheap (45 × 60 cm)",
    "Small oak table with two drawers and steel handles, for a bedroom or an office. " * 8,
)
ROLES: tuple[Literal["query", "document"], ...] = ("query", "document")
PARITY = {"fp32": 0.999, "int8": 0.99}
"""The least cosine. Runtimes in fp32 agree to 0.9999 and bf16 to 0.999 by their own proofs; int8 is rounded
in another way by processors without instructions for it."""


def _encode(encoder: Encoder, role: str, texts: Sequence[str]) -> Vectors:
    return encoder.encode_queries(texts) if role == "query" else encoder.encode_documents(texts)


def probes_of(encoder: Encoder) -> tuple[ModelProbe, ...]:
    """Return what a model's record says of the encoder that it was evaluated with (blocking)."""
    return tuple(
        ModelProbe(role=role, text=text, vector=base64.b64encode(row.astype("<f2").tobytes()).decode())
        for role in ROLES
        for text, row in zip(TEXTS, _encode(encoder, role, TEXTS), strict=True)
    )


def check_parity(encoder: Encoder, model: Model) -> None:
    """Raise `ConfigurationError` unless the encoder gives the vectors of the model's record."""
    for probe in model.probes:
        recorded = np.frombuffer(base64.b64decode(probe.vector), "<f2").astype(np.float32)
        cosine = float(_encode(encoder, probe.role, [probe.text])[0] @ recorded)
        if not cosine >= PARITY[model.precision]:
            raise ConfigurationError(
                f"model {model.model_id} gives another vector here than where it was evaluated, to the "
                f"{probe.role} {probe.text[:40]!r}: cosine {cosine:.4f}, at least {PARITY[model.precision]}; "
                "compare the versions of the libraries, model.runtime and model.precision"
            )
