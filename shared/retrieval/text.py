"""How products and queries become terms for BM25: words, lower-case, without accents, stemmed as English.

A term is known by a 64-bit number (`term_of`), the same in every process and on every disk, so that nobody
has to keep a dictionary, or to agree on one.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Filter

MAX_QUERY_TERMS = 64
REMEMBERED = 1 << 18
"""Different words whose terms are remembered; a shop's texts have some ten thousand."""
Terms = NDArray[np.uint64]

_PIECES = re.compile(r"[^\s!-/:-@\[-`{-~\x00-\x1f\x7f]+")
"""What stands between blanks and the signs of ASCII: a word, or a few where other signs are in it."""


def analyzer() -> Any:  # Any: tantivy has no types for mypy
    """Return what cuts a text into words, lower-case, without accents, stemmed as English."""
    chain = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        Filter.remove_long(64),
        Filter.lowercase(),
        Filter.ascii_fold(),
        Filter.stemmer("english"),
    ):
        chain = chain.filter(step)
    return chain.build()


@lru_cache(maxsize=REMEMBERED)
def term_of(word: str) -> bytes:
    """Return the number of an analysed word, as eight bytes (little-endian); never zero."""
    return blake2b(word.encode(), digest_size=8).digest()


class Analyzer:
    """Texts to terms. A word that was met before costs a look into a dictionary."""

    def __init__(self) -> None:
        self._chain = analyzer()
        self._known: dict[str, bytes] = {}

    def of_query(self, text: str) -> Terms:
        """Return the different terms of a query in normal form, in its order, of which only so many count."""
        words = dict.fromkeys(self._chain.analyze(text))
        return _numbers([term_of(word) for word in words][:MAX_QUERY_TERMS])

    def of_texts(self, texts: Iterable[str]) -> bytes:
        """Return the terms of all these texts, one after the other, eight bytes each."""
        return b"".join([self._of(text) for text in texts])

    def _of(self, text: str) -> bytes:
        pieces = _PIECES.findall(text)
        try:
            return b"".join(map(self._known.__getitem__, pieces))
        except KeyError:
            return b"".join(map(self._learned, pieces))

    def _learned(self, piece: str) -> bytes:
        terms = self._known.get(piece)
        if terms is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            terms = self._known[piece] = b"".join(map(term_of, self._chain.analyze(piece)))
        return terms


def _numbers(terms: Iterable[bytes]) -> Terms:
    return np.frombuffer(b"".join(terms), "<u8")
