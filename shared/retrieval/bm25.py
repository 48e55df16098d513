"""BM25 of documents with a title and a body, scored as one text in which the title's words count more.

BM25F (Robertson, Zaragoza, Taylor: Simple BM25 extension to multiple weighted fields, CIKM 2004): a word in
the title is as many words in the body, then there is one frequency, one length and one saturation. A document
counts as one that has a term wherever it has it.

What makes scores comparable is given, and not taken from the documents at hand: how many documents there are,
how long, and in how many each term is (`CorpusStatistics`, `frequencies`). With those of a whole generation a
document's score is the same in whichever shard it lies, bit for bit.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.compiled import compiled
from shared.retrieval.postings import Postings
from shared.retrieval.selection import least_of_best
from shared.retrieval.text import Terms

K1, B = 1.2, 0.75
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class CorpusStatistics(NamedTuple):
    """How many documents there are, and how many terms their titles and bodies have in all."""

    documents: int = 0
    title_terms: int = 0
    body_terms: int = 0

    @classmethod
    def total(cls, parts: "Iterable[CorpusStatistics]") -> "CorpusStatistics":
        """Return those of all parts together."""
        return cls(*map(sum, zip(*parts, strict=True))) if (parts := list(parts)) else cls()


class TextPart(NamedTuple):
    """The texts of documents by place: their postings, of which several may share the places among them."""

    blocks: Sequence[Postings]
    lengths: Floats
    """[n]: terms of the body, and of the title as often as each of them counts."""
    live: Mask | None
    """[n]: which documents count; None: all."""


class WeightedTerms(NamedTuple):
    """A query as it is scored: terms [t], what each is worth, and what a length is divided by."""

    terms: Terms
    weights: Floats
    title_weight: np.float32
    fixed: np.float32
    by_length: np.float32

    @classmethod
    def of(
        cls, terms: Terms, frequencies: Integers, corpus: CorpusStatistics, *, title_weight: float
    ) -> "WeightedTerms":
        """Return the query's terms, of which `frequencies` [t] says in how many documents each is."""
        count = float(corpus.documents)
        inverse = np.log1p((count - frequencies + 0.5) / (frequencies + 0.5))
        length = title_weight * corpus.title_terms + corpus.body_terms
        mean = length / max(corpus.documents, 1) or 1.0
        return cls(
            terms,
            (inverse * (K1 + 1)).astype(np.float32),
            np.float32(title_weight),
            np.float32(K1 * (1 - B)),
            np.float32(K1 * B / mean),
        )


class Scores:
    """Room for the scores of one query at a time over a part of any size; a thread has one of its own."""

    def __init__(self) -> None:
        self._scores = np.zeros(1024, np.float32)
        self._touched = np.empty(1024, np.uint32)
        self._size = 0

    def fill(self, part: TextPart, query: WeightedTerms) -> None:
        """Score every document of the part that has one of the terms; the live ones and the others."""
        self._clear(len(part.lengths))
        for block in part.blocks:
            self._size = _score(*block, *query, part.lengths, self._scores, self._touched, self._size)

    def of(self, places: Integers) -> Floats:
        """Return the scores of these documents; 0: it has none of the terms."""
        return self._scores[places]

    def best(self, k: int, allowed: Mask) -> tuple[Integers, Floats]:
        """Return the places and scores of the `k` best that are allowed, and of all that equal the last."""
        if k <= 0 or not self._size:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        places, scores = _allowed(self._touched, self._size, self._scores, allowed)
        if k >= places.size:
            return places, scores
        best = scores >= least_of_best(scores, k)
        return places[best], scores[best]

    def _clear(self, length: int) -> None:
        _reset(self._scores, self._touched, self._size)
        self._size = 0
        if length > len(self._scores):
            capacity = max(length, 2 * len(self._scores))
            self._scores = np.zeros(capacity, np.float32)
            self._touched = np.empty(capacity, np.uint32)


def frequencies(parts: Iterable[TextPart], terms: Terms) -> Integers:
    """Return in how many live documents of these parts each term is."""
    counts = np.zeros(terms.size, np.int64)
    everything = np.empty(0, np.bool_)
    for part in parts:
        live = everything if part.live is None else part.live
        for block in part.blocks:
            _count(block.terms, block.starts, block.places, terms, live, counts)
    return counts


@compiled
def _find(terms: Any, wanted: Any) -> Any:  # Any: numba has no types
    low, high = 0, terms.size
    while low < high:
        middle = (low + high) // 2
        if terms[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < terms.size and terms[low] == wanted else -1


@compiled
def _count(  # noqa: PLR0913, PLR0917 - as below; Any: as above
    terms: Any, starts: Any, places: Any, wanted: Any, live: Any, counts: Any
) -> None:
    for number in range(wanted.size):
        at = _find(terms, wanted[number])
        if at < 0:
            continue
        if not live.size:
            counts[number] += starts[at + 1] - starts[at]
            continue
        for entry in range(starts[at], starts[at + 1]):
            counts[number] += live[places[entry]]


@compiled
def _score(  # noqa: PLR0913, PLR0917 - a kernel takes arrays; Any: as above
    terms: Any,
    starts: Any,
    places: Any,
    counts: Any,
    wanted: Any,
    weights: Any,
    title_weight: Any,
    fixed: Any,
    by_length: Any,
    lengths: Any,
    scores: Any,
    touched: Any,
    size: Any,
) -> Any:
    for number in range(wanted.size):
        at = _find(terms, wanted[number])
        if at < 0:
            continue
        weight = weights[number]
        for entry in range(starts[at], starts[at + 1]):
            place, count = places[entry], counts[entry]
            frequency = np.float32(count & 255) + title_weight * np.float32(count >> 8)
            if scores[place] == 0:
                touched[size] = place
                size += 1
            scores[place] += weight * frequency / (frequency + fixed + by_length * lengths[place])
    return size


@compiled
def _allowed(touched: Any, size: Any, scores: Any, allowed: Any) -> Any:  # noqa: PLR0917 - Any: as above
    """Return the places that have a score and are allowed, and their scores."""
    places = np.empty(size, np.int64)
    values = np.empty(size, np.float32)
    count = 0
    for entry in range(size):
        place = touched[entry]
        if allowed[place]:
            places[count] = place
            values[count] = scores[place]
            count += 1
    return places[:count], values[:count]


@compiled
def _reset(scores: Any, touched: Any, size: Any) -> None:  # Any: as above
    for entry in range(size):
        scores[touched[entry]] = 0
