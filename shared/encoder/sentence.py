"""The `Encoder` of a sentence-transformers directory: packed batches, unit vectors, in any runtime.

`SentenceTransformer.encode` sorts by characters and cuts batches by count; here texts are tokenised once,
sorted by tokens, and packed so that a forward pass stays within the token budget. What runs the pass is a
`Runtime`.
"""

from collections.abc import Sequence

import numpy as np

from shared.arrays import Vectors
from shared.encoder.description import Encoding
from shared.encoder.packing import pack
from shared.encoder.runtimes.port import Runtime
from shared.encoder.tokens import IDS, Tokenizer
from shared.encoder.vectors import shortened, unit


class SentenceEncoder:
    """One loaded model, for `threads` callers at once: put `CoalescingEncoder` before it."""

    def __init__(self, encoding: Encoding, runtime: Runtime, tokenizer: Tokenizer) -> None:
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.threads = runtime.threads
        self.pass_tokens = runtime.pass_tokens
        self.fingerprint, self.dimensions = encoding.description
        self._encoding = encoding
        (marks,) = tokenizer.tokens([encoding.document.text])[IDS]
        self.document_tokens = max(1, encoding.max_tokens - len(marks))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, without the model's own marks (blocking)."""
        return self.tokenizer.counts(texts)

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
        tokens, width = self.tokenizer.tokens(texts), self._encoding.pipeline.width
        for batch in pack([len(row) for row in tokens[IDS]], self.pass_tokens):
            embedded = self.runtime.forward(self.tokenizer.features(tokens, batch))
            rows[batch] = shortened(embedded, width=width, dimensions=self.dimensions)
        return unit(rows)
