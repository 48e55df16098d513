"""Texts as a model reads them: cut at its longest input, as rows of tokens; and tables of them, padded."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.encoder.runtimes.port import Features

Tokens = dict[str, list[list[int]]]
"""A row of each kind (`input_ids`, `attention_mask`, ...) for every text, as long as the text is."""


class TextTokenizer:
    """A model's tokenizer, for several callers at once."""

    def __init__(self, tokenizer: Any, longest: int) -> None:  # Any: of transformers, whose kinds differ
        self._tokenizer = tokenizer
        self._longest = longest
        self._padding: int = tokenizer.pad_token_id or 0
        self._turn = threading.Lock()

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each text, in order, without padding; of a long text the first ones."""
        with self._turn:  # it is not made for two callers: "Already borrowed"
            tokens: Tokens = self._tokenizer(
                list(texts), truncation=True, max_length=self._longest, padding=False, verbose=False
            ).data
        return tokens

    def features(self, tokens: Tokens, batch: Sequence[int]) -> Features:
        """Return one batch of them as tables, padded to its longest."""
        shape = len(batch), max(len(tokens["input_ids"][index]) for index in batch)
        features = {}
        for name, rows in tokens.items():
            table = np.full(shape, self._padding if name == "input_ids" else 0, dtype=np.int64)
            for row, index in enumerate(batch):
                table[row, : len(rows[index])] = rows[index]
            features[name] = table
        return features
