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
from services.monitor.drift.domain.features import transform
from services.monitor.drift.domain.sketches import merged, sketch

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


class WindowTally(Value):
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

    def __add__(self, other: "WindowTally") -> "WindowTally":
        return WindowTally(
            counts=Counter(self.counts) + Counter(other.counts),
            similarities=merged(self.similarities, other.similarities),
            nearest=merged(self.nearest, other.nearest),
            queries=_sum(self.queries, other.queries),
            documents=_sum(self.documents, other.documents),
            words=sample(Counter(self.words) + Counter(other.words)),
            segments=sample(Counter(self.segments) + Counter(other.segments)),
            query_examples=kept_examples((*self.query_examples, *other.query_examples)),
            document_examples=kept_examples((*self.document_examples, *other.document_examples)),
            fingerprints=self.fingerprints | other.fingerprints,
        )

    def count(self, name: str) -> int:
        """Return a count; 0 when there is none."""
        return self.counts.get(name, 0)


@dataclass(frozen=True, slots=True)
class AnsweredQuery:
    """What counts of one answered query; `similarities` are those of the products shown, if logged."""

    text: str
    hits: int | None
    """How many products it found; None when its front end did not say."""
    similarities: Sequence[float] = ()
    vector: Vectors | None = None
    fingerprint: str = ""

    @property
    def best(self) -> float | None:
        """The similarity of the best product shown."""
        return max(self.similarities, default=None)


def tally_queries(queries: Sequence[AnsweredQuery], *, threshold: float | None = None) -> WindowTally:
    """Return the tally of some answered queries; `threshold`: below it a best product is a weak one."""
    return (
        _tally_answers(queries)
        + _tally_similarities(queries, threshold)
        + _tally_embeddings(queries)
        + WindowTally(words=sample(Counter(word for query in queries for word in words_of(query.text))))
    )


def _tally_answers(queries: Sequence[AnsweredQuery]) -> WindowTally:
    """Tally how many queries found nothing, of those whose front end says what they found."""
    hits = [query.hits for query in queries if query.hits is not None]
    return WindowTally(
        counts={"answers": len(hits), "empty": hits.count(0)},
        fingerprints=frozenset(query.fingerprint for query in queries if query.fingerprint),
    )


def _tally_similarities(queries: Sequence[AnsweredQuery], threshold: float | None) -> WindowTally:
    """Tally how similar the products shown are to their queries."""
    best = [query.best for query in queries if query.best is not None]
    # Without a threshold no answer is weak or strong, so none is counted: a share of nothing is no signal.
    counts: dict[str, int] = {}
    if threshold is not None:
        counts = {"scored": len(best), "weak": sum(similarity < threshold for similarity in best)}
    return WindowTally(
        counts=counts,
        similarities=sketch([similarity for query in queries for similarity in query.similarities]),
        nearest=sketch([1 - similarity for similarity in best]),
    )


def _tally_embeddings(queries: Sequence[AnsweredQuery]) -> WindowTally:
    """Tally embeddings of queries; while a model is switched, those with the first one's dimensions only."""
    embedded = [(query, query.vector) for query in queries if query.vector is not None]
    embedded = [(query, vector) for query, vector in embedded if vector.size == embedded[0][1].size]
    if not embedded:
        return WindowTally()
    rows = transform(np.stack([vector for _, vector in embedded]), seed=SEED)
    return WindowTally(
        counts={"vectors": len(embedded)},
        queries=rows.sum(axis=0, dtype=np.float64).tobytes(),
        query_examples=kept_examples(
            Example(text=query.text[:200], similarity=query.best, features=row.astype(np.float16).tobytes())
            for (query, _), row in zip(embedded, rows, strict=True)
        ),
    )


def tally_documents(texts: Sequence[str], vectors: Vectors, segments: Iterable[str]) -> WindowTally:
    """Return the tally of some products that were written: a text and a vector each."""
    if not texts:
        return WindowTally()
    rows = transform(vectors, seed=SEED)
    return WindowTally(
        counts={"documents": len(texts)},
        documents=rows.sum(axis=0, dtype=np.float64).tobytes(),
        segments=sample(Counter(segments)),
        document_examples=kept_examples(
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


def kept_examples(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Keep the examples with the smallest hashes, each text once."""
    by_text = {example.text: example for example in examples}
    return tuple(by_text[text] for text in nsmallest(EXAMPLES, by_text, key=_hash))


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _sum(one: bytes, other: bytes) -> bytes:
    if not one or not other:
        return one or other
    return (np.frombuffer(one) + np.frombuffer(other)).tobytes()
