"""Texts as a model reads them: cut at its longest input, as rows of tokens; and tables of them, padded."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import tokenizers
from numpy.typing import NDArray

from shared.encoder.runtimes.port import Features

Tokens = dict[str, list[list[int]]]
"""A row of each kind that the tokenizer gives (`input_ids`, ...) for every text, as long as the text is."""
IDS, MASK, KINDS = "input_ids", "attention_mask", "token_type_ids"
DESCRIBED, FACTS = "tokenizer.json", "reading.json"
SAMPLES = (
    "",
    " ",
    "red lamp",
    "Oak CHAIR für Hänsel's  home\tand\ngarden (45 × 60 cm), 2 pieces!",
    "防水 登山靴 メンズ 여성용 운동화 عربي हिन्दी",
    "ﬁne café naïve Ⅷ ½ ﬀ",
    "emoji 👩‍👩‍👧 and \u200b zero\u00a0width, <b>mark-up</b> &amp; https://a.example/b?c=d_e",
    "[CLS] [PAD] [SEP] <pad> [MASK] <s> </s> [UNK] lamp",
    "\x00\x1f \ufffd",
    "a small oak table with two drawers and steel handles " * 200,
)
"""Of what tokenizers are known to treat in ways of their own."""


class Tokenizer(Protocol):
    """A model's tokenizer, for several callers at once."""

    size: int
    """So many tokens it knows."""
    padding: int
    """The token that fills a table."""

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each text, in order, without padding; of a long text the first ones."""
        ...

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, all of them, without those that mark its ends."""
        ...

    def features(self, tokens: Tokens, batch: Sequence[int]) -> Features:
        """Return one batch of them as tables, padded to its longest."""
        ...


class LibraryTokenizer:
    """Any tokenizer, through transformers."""

    def __init__(self, tokenizer: Any, longest: int) -> None:  # Any: of transformers, whose kinds differ
        self.size = len(tokenizer)
        self._tokenizer = tokenizer
        self._longest = longest
        self.padding: int = tokenizer.pad_token_id or 0
        self._turn = threading.Lock()

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return every kind that the model reads."""
        with self._turn:  # it is not made for two callers: "Already borrowed"
            tokens: Tokens = self._tokenizer(
                list(texts), truncation=True, max_length=self._longest, padding=False, verbose=False
            ).data
        return tokens

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the counts."""
        with self._turn:
            return count(self._tokenizer, texts)

    def features(self, tokens: Tokens, batch: Sequence[int]) -> Features:
        """Return the tables, padded with the tokenizer's own token, and with 0."""
        return {
            name: _table([rows[index] for index in batch], self.padding if name == IDS else 0)
            for name, rows in tokens.items()
        }


class FastTokenizer:
    """One that its description tells all about: the library below transformers reads it, without torch."""

    def __init__(self, described: str, facts: dict[str, Any], longest: int) -> None:  # Any: JSON of `write`
        self._kinds: list[str] = facts["kinds"]
        self.padding: int = facts["padding"]
        self._tokenizer = tokenizers.Tokenizer.from_str(described)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest, direction=facts["side"])
        self.size = self._tokenizer.get_vocab_size()

    @classmethod
    def of(cls, tokenizer: Any, longest: int) -> "FastTokenizer | None":  # Any: as above
        """Return the one that reads as transformers' does, as far as samples tell; None when none does."""
        if not isinstance(getattr(tokenizer, "backend_tokenizer", None), tokenizers.Tokenizer):
            return None
        own = LibraryTokenizer(tokenizer, longest).tokens(SAMPLES)
        facts = {
            "kinds": list(own),
            "padding": tokenizer.pad_token_id or 0,
            "side": tokenizer.truncation_side,
        }
        fast = cls(tokenizer.backend_tokenizer.to_str(), facts, longest)
        is_plain = own.keys() <= {IDS, MASK, KINDS} and all(
            {*row} <= {value} for name, value in ((MASK, 1), (KINDS, 0)) for row in own.get(name, [])
        )
        return fast if is_plain and fast.tokens(SAMPLES)[IDS] == own[IDS] else None

    @classmethod
    def read(cls, directory: Path, longest: int) -> "FastTokenizer":
        """Return what `write` wrote."""
        facts = orjson.loads((directory / FACTS).read_bytes())
        return cls((directory / DESCRIBED).read_text("utf-8"), facts, longest)

    def write(self, directory: Path) -> None:
        """Write it into a directory; how long the longest input is, is not in there."""
        facts = {
            "kinds": self._kinds,
            "padding": self.padding,
            "side": (self._tokenizer.truncation or {})["direction"],
        }
        (directory / DESCRIBED).write_text(self._tokenizer.to_str(), "utf-8")
        (directory / FACTS).write_bytes(orjson.dumps(facts))

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens alone: what else a model reads follows from how many there are."""
        return {IDS: [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]}

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the counts: what was too long for the model has overflowed."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) + sum(len(rest.ids) for rest in one.overflowing) for one in encodings]

    def features(self, tokens: Tokens, batch: Sequence[int]) -> Features:
        """Return the tables: tokens, a mask of what is one, and their kind, of which there is one."""
        rows = [tokens[IDS][index] for index in batch]
        ids = _table(rows, self.padding)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        tables = {IDS: ids, MASK: mask, KINDS: np.zeros_like(ids)}
        return {name: tables[name] for name in self._kinds}


def tokenizer_of(tokenizer: Any, longest: int) -> Tokenizer:  # Any: as above
    """Return the quickest that reads as transformers' does."""
    return FastTokenizer.of(tokenizer, longest) or LibraryTokenizer(tokenizer, longest)


def count(tokenizer: Any, texts: Sequence[str]) -> list[int]:  # Any: of transformers, or of tokenizers
    """Return how many tokens a tokenizer makes of each text, without those that mark its ends."""
    if not texts:
        return []
    if not callable(tokenizer):  # that of a table of embeddings
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]
    rows = tokenizer(
        list(texts),
        add_special_tokens=False,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        verbose=False,
    ).data["input_ids"]
    return [len(row) for row in rows]


def _table(rows: Sequence[Sequence[int]], padding: int) -> NDArray[np.int64]:
    table = np.full((len(rows), max(map(len, rows))), padding, dtype=np.int64)
    for row, numbers in zip(table, rows, strict=True):
        row[: len(numbers)] = numbers
    return table
