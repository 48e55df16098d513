"""Where a set of words is looked for among those that are nearly the same: MinHash, in bands.

The lowest value of a random order of all words is the same of two sets with the probability that is their
Jaccard similarity (Broder, "On the resemblance and containment of documents", 1997). A band is five of them:
sets that are nearly the same share one of four bands mostly (of a similarity of 0.85, 91 in 100; of 0.95,
99.7), others rarely. Who shares one is a candidate, to be compared.
"""

from collections.abc import Set as AbstractSet
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

BANDS = 4
ROWS = 5


def bands(words: AbstractSet[str]) -> tuple[int, ...]:
    """Return four numbers of 64 bits, the same on every machine; of no words, none."""
    if not words:
        return ()
    values = np.fromiter(map(_value, words), np.uint64, len(words))
    lowest = (values[:, None] * _FACTORS + _TERMS).min(axis=0).reshape(BANDS, ROWS)
    return tuple(_digest(b"%d" % band + row.astype("<u8").tobytes()) for band, row in enumerate(lowest))


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


@lru_cache(maxsize=1 << 16)
def _value(word: str) -> int:
    return _digest(word.encode("utf-8", "replace"))


def _numbers(name: bytes) -> NDArray[np.uint64]:
    """Return as many odd numbers as there are orders."""
    numbers = (_digest(name + b"%d" % place) | 1 for place in range(BANDS * ROWS))
    return np.fromiter(numbers, np.uint64, BANDS * ROWS)


_FACTORS, _TERMS = _numbers(b"factor"), _numbers(b"term")
