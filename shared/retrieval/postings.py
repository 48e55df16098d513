"""Which documents have which terms: arrays that never change, made at once and merged with others.

A part of a corpus has its documents by place, from 0. The two texts of a document, title and body, are
counted apart and scored as one (`shared.retrieval.bm25`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.compiled import compiled
from shared.retrieval.text import Terms

Places = NDArray[np.uint32]
Counts = NDArray[np.uint16]
MOST = 255
"""Occurrences of a term in one text that are told apart."""


class Postings(NamedTuple):
    """Of each term, ascending, the documents that have it, ascending, and how often each.

    `terms` [t]; `starts` [t + 1]: of term i the entries are those from `starts[i]` on; `places` [p] and
    `counts` [p], of which the low byte is the body's and the high byte the title's.
    """

    terms: Terms
    starts: NDArray[np.int64]
    places: Places
    counts: Counts

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return sum(column.nbytes for column in self)


NO_POSTINGS = Postings(
    np.empty(0, np.uint64), np.zeros(1, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint16)
)


def postings_of(titles: Sequence[bytes], bodies: Sequence[bytes], *, first: int = 0) -> Postings:
    """Return the postings of documents at the places from `first` on, given the terms of their texts."""
    texts = [text for pair in zip(titles, bodies, strict=True) for text in pair]
    terms = np.frombuffer(b"".join(texts), "<u8")
    if not terms.size:
        return NO_POSTINGS
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) // 8
    distinct, ranks = np.unique(terms, return_inverse=True)
    keys = (ranks.astype(np.uint64) << np.uint64(32)) | _text_numbers(lengths)
    keys.sort()
    size, numbers, places, counts = _counted(keys, np.uint32(first))
    return Postings(distinct, _starts(numbers[:size], distinct.size), places[:size], counts[:size])


def merged(parts: Sequence[Postings], places: Sequence[NDArray[np.int64]]) -> Postings:
    """Return the postings of several parts as one; `places[i]` gives each place of part i its new one.

    A new place of -1 leaves the document out. The new places of the parts ascend, one part after the other.
    """
    parts_and_places = [pair for pair in zip(parts, places, strict=True) if pair[0].terms.size]
    if not parts_and_places:
        return NO_POSTINGS
    terms, new_places, counts = [], [], []
    for part, new in parts_and_places:
        moved = new[part.places]
        kept = moved >= 0
        terms.append(np.repeat(part.terms, np.diff(part.starts))[kept])
        new_places.append(moved[kept].astype(np.uint32))
        counts.append(part.counts[kept])
    every = np.concatenate(terms)
    order = np.argsort(every, kind="stable")  # of one term the places ascend already
    every = every[order]
    first = np.flatnonzero(np.append(every[:1] == every[:1], every[1:] != every[:-1]))
    starts = np.append(first, every.size).astype(np.int64)
    return Postings(
        every[starts[:-1]], starts, np.concatenate(new_places)[order], np.concatenate(counts)[order]
    )


def lengths_of(texts: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return how many terms each text has."""
    return np.fromiter(map(len, texts), np.uint32, len(texts)) // np.uint32(8)


def _text_numbers(lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return of each term which text it is of: twice the document's place, and one more in the body."""
    return np.repeat(np.arange(lengths.size, dtype=np.uint64), lengths)


def _starts(numbers: NDArray[np.uint32], terms: int) -> NDArray[np.int64]:
    return np.searchsorted(numbers, np.arange(terms + 1, dtype=np.uint32)).astype(np.int64)


@compiled
def _counted(keys: Any, first: Any) -> Any:  # Any: numba has no types
    """Count equal (term, document) in sorted keys: term's rank in the high half, text in the low one."""
    numbers = np.empty(keys.size, np.uint32)
    places = np.empty(keys.size, np.uint32)
    counts = np.empty(keys.size, np.uint16)
    size, previous = 0, np.uint64(0xFFFFFFFFFFFFFFFF)
    for key in keys:
        document = key >> np.uint64(1)
        if document != previous:
            numbers[size] = key >> np.uint64(32)
            places[size] = first + np.uint32((key & np.uint64(0xFFFFFFFF)) >> np.uint64(1))
            counts[size] = 0
            size += 1
            previous = document
        count = counts[size - 1]
        if key & np.uint64(1):
            if count & 0xFF < MOST:
                counts[size - 1] = count + 1
        elif count >> 8 < MOST:
            counts[size - 1] = count + 256
    return size, numbers, places, counts
