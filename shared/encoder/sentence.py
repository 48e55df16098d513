"""The `Encoder` of a sentence-transformers directory: checked weights, packed batches, unit vectors.

`SentenceTransformer.encode` sorts by characters and cuts batches by count; here texts are tokenised once,
sorted by tokens, and packed so that a forward pass stays within the token budget. What runs the pass is a
`Runtime`.
"""

from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer

from shared.encoder.description import Encoding
from shared.encoder.library import limit
from shared.encoder.packing import pack
from shared.encoder.runtimes.torch_runtime import TorchRuntime
from shared.encoder.tokens import TextTokenizer
from shared.encoder.vectors import shortened, unit
from shared.errors import ConfigurationError
from shared.ports import Vectors
from shared.settings import ModelSettings


class SentenceEncoder:
    """One loaded model, for `threads` callers at once: put `CoalescingEncoder` before it."""

    def __init__(self, encoding: Encoding, settings: ModelSettings) -> None:
        """Load it (seconds); raises `ConfigurationError` when it reads other lengths than it was said to."""
        self._runtime = TorchRuntime(encoding.directory, settings)
        self.threads = self._runtime.threads
        self.pass_tokens = self._runtime.pass_tokens
        longest = min(settings.max_tokens, self.library.max_seq_length or settings.max_tokens)
        if longest != encoding.max_tokens:
            raise ConfigurationError(
                f"{encoding.directory}: reads {longest} tokens, its files say {encoding.max_tokens}: "
                "write max_seq_length into sentence_bert_config.json"
            )
        limit(self.library, longest)
        self._tokenizer = TextTokenizer(self.library.tokenizer, longest)
        self.fingerprint, self.dimensions = encoding.description
        self._encoding = encoding

    @property
    def library(self) -> SentenceTransformer:
        """The model as sentence-transformers has it, which reads no more of a text than is configured."""
        return self._runtime.model

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit float32 row a text, in order (blocking)."""
        return self._encode([self._encoding.document.text + text for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Do the same with the model's query prompt."""
        return self._encode([self._encoding.query.text + text for text in texts])

    def _encode(self, texts: Sequence[str]) -> Vectors:
        rows: Vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return rows
        tokens, width = self._tokenizer.tokens(texts), self._encoding.pipeline.width
        for batch in pack([len(row) for row in tokens["input_ids"]], self.pass_tokens):
            embedded = self._runtime.forward(self._tokenizer.features(tokens, batch))
            rows[batch] = shortened(embedded, width=width, dimensions=self.dimensions)
        return unit(rows)
