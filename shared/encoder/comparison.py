"""Whether the vectors that are served are sentence-transformers' own, by embedding a few texts with both."""

from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer

from shared.arrays import Vectors
from shared.encoder.description import Encoding, Prompt
from shared.encoder.libraries import loading, quiet
from shared.encoder.library import limit
from shared.encoder.runtimes.port import AGREEMENT
from shared.encoder.tokens import SAMPLES
from shared.errors import ConfigurationError
from shared.ports import Encoder

HALF_BESIDE_OTHERS = 0.99
"""In half precision, where a text alone and among others already differ more."""
FEW = ("red lamp", "Oak chair for home, 2 pieces: good and cheap, in a Box (45 × 60 cm)")


def check_vectors(encoder: Encoder, model: SentenceTransformer, encoding: Encoding) -> None:
    """Raise `ConfigurationError` unless a few texts get the vectors that the library gives to them."""
    is_whole = next(iter(model.parameters())).element_size() >= np.float32().itemsize
    least = AGREEMENT if is_whole else HALF_BESIDE_OTHERS
    for role, cosine in cosines(encoder, model, encoding, texts=FEW).items():
        if not cosine >= least:
            raise ConfigurationError(
                f"{encoding.directory}: vectors of a {role} are not those of sentence-transformers "
                f"(cosine {cosine:.4f}): the model is not served"
            )


def cosines(
    encoder: Encoder, model: SentenceTransformer, encoding: Encoding, *, texts: Sequence[str] = SAMPLES
) -> dict[str, float]:
    """Return the least cosine, over the texts, of what is served and the library's own, by role.

    Raises `ConfigurationError` when they have not as many dimensions.
    """
    served = {"query": encoder.encode_queries(texts), "document": encoder.encode_documents(texts)}
    return {
        role: _least(rows, library_vectors(model, encoding, texts, role=role))
        for role, rows in served.items()
    }


def library_vectors(
    model: SentenceTransformer, encoding: Encoding, texts: Sequence[str], *, role: str
) -> Vectors:
    """Return the library's own vector of each text, one by one, as `reference` says, at unit length."""
    keywords = {"batch_size": 1, "show_progress_bar": False, "normalize_embeddings": True}
    prompt = encoding.query if role == "query" else encoding.document
    if prompt.name in {"passage", "corpus"}:
        rows = model.encode(list(texts), prompt_name=prompt.name, task=role, **keywords)
    else:
        encode = model.encode_query if role == "query" else model.encode_document
        rows = encode(list(texts), prompt=prompt.text if _is_configured(prompt) else None, **keywords)
    return np.asarray(rows, np.float32)


def load_library(encoding: Encoding) -> SentenceTransformer:
    """Return the directory as sentence-transformers loads it, in fp32 on a CPU, as long as texts are read."""
    quiet()
    model = SentenceTransformer(str(encoding.directory), **loading("cpu"))
    limit(model, encoding.max_tokens)
    return model


def reference(role: str, prompt: Prompt) -> str:
    """Return the call of the library that gives the vectors which are served."""
    if prompt.name in {"passage", "corpus"}:
        return f"encode(prompt_name={prompt.name!r})"
    return f"encode_{role}({f'prompt={prompt.text!r}' if _is_configured(prompt) else ''})"


def _is_configured(prompt: Prompt) -> bool:
    return prompt.name.startswith("model.")


def _least(served: Vectors, own: Vectors) -> float:
    if served.shape != own.shape:
        raise ConfigurationError(
            f"vectors of {served.shape[1]} dimensions are served, sentence-transformers gives {own.shape[1]}"
        )
    has_direction = own.any(axis=1)
    return float((served * own).sum(axis=1)[has_direction].min(initial=1.0))
