"""The `Encoder` of a sentence-transformers directory: checked weights, packed batches, unit vectors.

`SentenceTransformer.encode` sorts by characters and cuts batches by count; here texts are tokenised once,
sorted by tokens, and packed so that a forward pass stays within the token budget. What runs the pass is a
`Runtime`.
"""

from collections.abc import Sequence

import numpy as np

from shared.encoder.description import prompts
from shared.encoder.directory import model_directory
from shared.encoder.fingerprint import fingerprint
from shared.encoder.packing import pack
from shared.encoder.runtimes.torch_runtime import TorchRuntime
from shared.encoder.tokens import TextTokenizer
from shared.encoder.vectors import unit
from shared.ports import Vectors
from shared.settings import ModelSettings


class SentenceEncoder:
    """One loaded model, for `threads` callers at once: put `CoalescingEncoder` before it."""

    def __init__(self, settings: ModelSettings) -> None:
        directory = model_directory(settings.path)
        self._runtime = TorchRuntime(directory, settings)
        self.threads = self._runtime.threads
        self.pass_tokens = self._runtime.pass_tokens
        model = self._runtime.model
        longest = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
        self._tokenizer = TextTokenizer(model.tokenizer, longest)
        configured = prompts(directory)
        self._query_prompt = settings.query_prompt or configured.get("query", "")
        self._document_prompt = settings.document_prompt or configured.get("document", "")
        self.dimensions = int(model.get_embedding_dimension() or 0)
        self.fingerprint = fingerprint(
            directory,
            {
                "query_prompt": self._query_prompt,
                "document_prompt": self._document_prompt,
                "max_tokens": longest,
                "dimensions": self.dimensions,
                "normalised": True,
            },
        )

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit float32 row a text, in order (blocking)."""
        return self._encode([self._document_prompt + text for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Do the same with the model's query prompt."""
        return self._encode([self._query_prompt + text for text in texts])

    def _encode(self, texts: Sequence[str]) -> Vectors:
        rows: Vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return rows
        tokens = self._tokenizer.tokens(texts)
        for batch in pack([len(row) for row in tokens["input_ids"]], self.pass_tokens):
            rows[batch] = self._runtime.forward(self._tokenizer.features(tokens, batch))
        return unit(rows)
