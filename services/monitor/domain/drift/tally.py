"""What is kept of one window: a few sums, two sketches and some examples; tallies of parts add up."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from schemas.base import Value
from services.monitor.domain.drift.features import transform
from services.monitor.domain.drift.sketches import merged, sketch

WORDS = 2000
"""Different words kept of a window: those with the smallest hashes, so a fair sample."""
EXAMPLES = 24
SEED = 7
"""Of the random features: the same in every window, or nothing could be compared."""
_WORD = re.compile(r"\w+")

Vectors = NDArray[np.float32]


class Example(Value):
    """A query or a product of the window, its best similarity, and its features (float16)."""

    text: str
    similarity: float | None = None
    features: bytes = b""


class Tally(Value):
    """Counts, sums and sketches of a part of a window.

    Every part is a sum, so that parts of one window may be added in any order.
    """

    counts: Mapping[str, int] = {}
    similarities: bytes = b""
    """A KLL sketch of the similarities of the products shown to their queries."""
    nearest: bytes = b""
    """A KLL sketch of the distances (1 - cosine) of queries to their nearest products."""
    queries: bytes = b""
    """Sum of the queries' random features (float64)."""
    documents: bytes = b""
    words: Mapping[str, int] = {}
    segments: Mapping[str, int] = {}
    query_examples: tuple[Example, ...] = ()
    document_examples: tuple[Example, ...] = ()
    fingerprints: frozenset[str] = frozenset()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            counts=Counter(self.counts) + Counter(other.counts),
            similarities=merged(self.similarities, other.similarities),
            nearest=merged(self.nearest, other.nearest),
            queries=_sum(self.queries, other.queries),
            documents=_sum(self.documents, other.documents),
            words=sample(Counter(self.words) + Counter(other.words)),
            segments=sample(Counter(self.segments) + Counter(other.segments)),
            query_examples=chosen((*self.query_examples, *other.query_examples)),
            document_examples=chosen((*self.document_examples, *other.document_examples)),
            fingerprints=self.fingerprints | other.fingerprints,
        )

    def count(self, name: str) -> int:
        """Return a count; 0 when there is none."""
        return self.counts.get(name, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What counts of one answered query; `similarities` are those of the products shown, if told."""

    text: str
    found: int | None
    similarities: Sequence[float] = ()
    vector: Vectors | None = None
    fingerprint: str = ""


def of_queries(asked: Sequence[Asked], *, threshold: float | None = None) -> Tally:
    """Return the tally of some answered queries; `threshold`: below it a best product is a weak one."""
    told = [each for each in asked if each.found is not None]
    scored = [each for each in asked if each.similarities]
    best = [max(each.similarities) for each in scored]
    seen = [(each, each.vector) for each in asked if each.vector is not None]
    seen = [(each, vector) for each, vector in seen if vector.size == seen[0][1].size]
    rows = transform(np.stack([vector for _, vector in seen]), seed=SEED) if seen else None
    counts = {"answers": len(told), "empty": sum(each.found == 0 for each in told), "vectors": len(seen)}
    if threshold is not None:
        counts |= {"scored": len(best), "weak": sum(value < threshold for value in best)}
    return Tally(
        counts={name: count for name, count in counts.items() if count},
        similarities=sketch([value for each in scored for value in each.similarities]),
        nearest=sketch([1 - value for value in best]),
        queries=b"" if rows is None else rows.sum(axis=0, dtype=np.float64).tobytes(),
        words=sample(Counter(word for each in asked for word in words_of(each.text))),
        query_examples=chosen(
            Example(
                text=each.text[:200],
                similarity=max(each.similarities, default=None),
                features=row.astype(np.float16).tobytes(),
            )
            for (each, _), row in zip(seen, () if rows is None else rows, strict=True)
        ),
        fingerprints=frozenset(each.fingerprint for each in asked if each.fingerprint),
    )


def of_documents(texts: Sequence[str], vectors: Vectors, segments: Iterable[str]) -> Tally:
    """Return the tally of some products that were written: a text and a vector each."""
    if not texts:
        return Tally()
    rows = transform(vectors, seed=SEED)
    return Tally(
        counts={"documents": len(texts)},
        documents=rows.sum(axis=0, dtype=np.float64).tobytes(),
        segments=sample(Counter(segments)),
        document_examples=chosen(
            Example(text=text[:200], features=row.astype(np.float16).tobytes())
            for text, row in zip(texts, rows, strict=True)
        ),
    )


def words_of(text: str) -> set[str]:
    """Return the different words of a query, in lower case, at most 40 characters of each."""
    return {word[:40] for word in _WORD.findall(text.casefold())}


def sample(counts: Mapping[str, int]) -> dict[str, int]:
    """Keep the counts of the words with the smallest hashes: of equal tallies, equal words."""
    if len(counts) <= WORDS:
        return dict(counts)
    return {word: counts[word] for word in nsmallest(WORDS, counts, key=_hash)}


def chosen(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Keep the examples with the smallest hashes, each text once."""
    by_text = {example.text: example for example in examples}
    return tuple(by_text[text] for text in nsmallest(EXAMPLES, by_text, key=_hash))


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _sum(one: bytes, other: bytes) -> bytes:
    if not one or not other:
        return one or other
    return (np.frombuffer(one) + np.frombuffer(other)).tobytes()
