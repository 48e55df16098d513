"""The `Encoder` of directories whose texts only sentence-transformers itself can make features of.

A table of embeddings (`StaticEmbedding`), a router with other modules for queries than for documents, a model
that reads queries shorter, or one whose pooling leaves the prompt out: texts go through the library's own
`preprocess` and modules, pass by pass, as in its `encode`.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router, Transformer

from shared.arrays import Vectors
from shared.encoder.batcher import CHARACTERS_A_TOKEN
from shared.encoder.description import Encoding
from shared.encoder.packing import pack
from shared.encoder.pipeline import NO_LIMIT
from shared.encoder.runtimes.torch_runtime import TorchRuntime
from shared.encoder.tokens import count
from shared.encoder.vectors import shortened, unit
from shared.settings import ModelSettings


class LibraryEncoder:
    """One loaded model, for `threads` callers at once: put `CoalescingEncoder` before it."""

    def __init__(self, encoding: Encoding, settings: ModelSettings) -> None:
        runtime = TorchRuntime(encoding.directory, settings)
        self.threads = runtime.threads
        self.pass_tokens = runtime.pass_tokens
        self.library = runtime.model
        """The model as sentence-transformers has it, which reads no more of a text than is configured."""
        limit(self.library, encoding.max_tokens)
        self.fingerprint, self.dimensions = encoding.description
        self._encoding = encoding
        self._preparing = threading.Lock()
        self._tokenizer = _tokenizer(self.library)
        self.document_tokens = self._document_tokens()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, without the model's own marks (blocking)."""
        with self._preparing:
            return count(self._tokenizer, texts)

    def _document_tokens(self) -> int:
        if not self._encoding.max_tokens:
            return NO_LIMIT
        features = self.library.preprocess([""], prompt=self._encoding.document.text, task="document")
        return max(1, self._encoding.max_tokens - int(features["input_ids"].numel()))

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit float32 row a text, in order (blocking)."""
        return self._encode(texts, self._encoding.document.text, task="document")

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Do the same with the model's query prompt, and by its way for queries."""
        return self._encode(texts, self._encoding.query.text, task="query")

    def _encode(self, texts: Sequence[str], prompt: str, *, task: str) -> Vectors:
        rows: Vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        lengths = [1 + len(prompt + text) // CHARACTERS_A_TOKEN for text in texts]
        most = self._encoding.max_tokens or self.pass_tokens
        for batch in pack([min(length, most) for length in lengths], self.pass_tokens):
            rows[batch] = self._forward([texts[index] for index in batch], prompt, task=task)
        return unit(rows) if len(rows) else rows

    @torch.inference_mode()
    def _forward(self, texts: Sequence[str], prompt: str, *, task: str) -> Vectors:
        with self._preparing:  # a tokenizer is not made for two callers: "Already borrowed"
            features = self.library.preprocess(list(texts), prompt=prompt, task=task)
        tables = {
            name: feature.to(self.library.device) if isinstance(feature, torch.Tensor) else feature
            for name, feature in features.items()
        }
        embedded: torch.Tensor = self.library(tables, task=task)["sentence_embedding"]
        vectors = shortened(
            embedded.float().cpu().numpy(), width=self._encoding.pipeline.width, dimensions=self.dimensions
        )
        for row in np.flatnonzero(~vectors.any(axis=1)).tolist():
            if not self._has_tokens(texts[row], prompt, task=task):
                vectors[row] = 1.0
        return vectors

    def _has_tokens(self, text: str, prompt: str, *, task: str) -> bool:
        """Whether the model reads anything of a text: a table of embeddings has no token for an empty one.

        Such a text has no direction, and gets one that is the same for all of them.
        """
        with self._preparing:
            features = self.library.preprocess([text], prompt=prompt, task=task)
        return bool(features["input_ids"].numel())


def _tokenizer(model: SentenceTransformer) -> Any:  # Any: of transformers, or of tokenizers
    """Return what cuts documents into tokens."""
    first = model[0]
    if isinstance(first, Router):
        routes = first.sub_modules
        first = routes["document" if "document" in routes else first.default_route][0]
    return first.tokenizer


def limit(model: SentenceTransformer, tokens: int) -> None:
    """Have every transformer of a model read so many tokens of a text at most; 0: as many as it would."""
    for module in model.modules():
        if isinstance(module, Transformer) and tokens:
            module.max_seq_length = min(tokens, module.max_seq_length or tokens)
