"""An encoder without a model: texts that share words lie near each other."""

import re
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from shared.arrays import Vectors


class FakeEncoder:
    """The `Encoder` by hashing: a text is the sum of its words' directions; the same on every machine."""

    threads = 1
    pass_tokens = 1024
    document_tokens = 254

    def __init__(self, dimensions: int = 32, *, model: str = "fake") -> None:
        self.dimensions = dimensions
        self.fingerprint = sha256(f"{model}/{dimensions}".encode()).hexdigest()[:16]
        self.calls: list[int] = []
        """How many texts each call had."""

    @property
    def embedded(self) -> int:
        """How many texts were embedded so far."""
        return sum(self.calls)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many words and marks each text has."""
        return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit float32 row a text, in order."""
        self.calls.append(len(texts))
        rows = np.array([self._row(text) for text in texts], dtype=np.float32)
        return rows.reshape(len(texts), self.dimensions)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Do the same: this model has no prompts."""
        return self.encode_documents(texts)

    def _row(self, text: str) -> Vectors:
        total = np.zeros(self.dimensions)
        for word in re.findall(r"\w+", text.lower()) or [""]:
            seed = int.from_bytes(sha256(f"{self.fingerprint}{word}".encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).standard_normal(self.dimensions)
        return (total / np.linalg.norm(total)).astype(np.float32)
