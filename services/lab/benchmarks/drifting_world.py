"""What a drifting shop may ever be asked and sell, embedded once.

Queries and products are those of a catalogue; beside them lie what shoppers ask once something has changed
(a new product line, a renamed brand, another language) and what they find once something has broken.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.lab.benchmarks.spanish import translated
from services.lab.simulation.catalogue import GradedCatalogue
from services.monitor.drift.domain.features import transform
from services.monitor.drift.domain.tally import SEED, words_of
from shared.arrays import Vectors

PRODUCTS, FRAGMENTS, LINE, TOP = 1500, 1500, 100, 10
TOPIC_AXES = 3
TOPICS = 2**TOPIC_AXES
"""A topic is on which side of each axis a vector lies."""
AS_EVER = "as ever"
NEW_BRAND = "zentoro"
SHORT = 12
"""Characters that are left of a truncated title."""
Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class QueryTable:
    """Of every text that may be asked: its features and the similarities of the products it finds."""

    features: Vectors
    similar: Vectors


@dataclass(frozen=True)
class World:
    """Everything that was embedded. A text is named by its row, the same in `texts`, `words` and tables."""

    texts: list[str]
    words: list[tuple[str, ...]]
    usual: NDArray[np.int64]
    """The rows of what is asked while nothing drifts."""
    line: NDArray[np.int64]
    """The rows of what is asked of a product line that is not sold yet."""
    renamed: NDArray[np.int64]
    """Of each usual text, the row of it with the new brand name; its own when it names no brand."""
    spanish: NDArray[np.int64]
    """Of each usual text, the row of its translation."""
    topics: NDArray[np.int64]
    """Of each usual text, its topic."""
    popularity: NDArray[np.float64]
    """Of each usual text, its share of the queries before topics and hours."""
    tables: Mapping[str, QueryTable]
    """By scenario, where it changes what is found."""
    titles: list[str]
    """Of the products: those that are sold, then those of the new line."""
    documents: Mapping[str, Vectors]
    """The products' features, by scenario, where it changes them."""
    document_topics: NDArray[np.int64]
    weak: float
    """Similarity of the best hit below which an answer counts as weak."""
    brand: str = ""


class TextBlocks:
    """All texts in one list, so that they are embedded at once; each block knows the rows of its own."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Append a block of texts and return their rows."""
        first = len(self.texts)
        self.texts.extend(texts)
        return np.arange(first, len(self.texts))


def build(catalogue: GradedCatalogue, encode: Encode, *, seed: int) -> World:
    """Embed what the shop may ever be asked and sell."""
    rng = np.random.default_rng(seed)
    titles, products = _assortment(catalogue, encode, rng)
    asked = _usual_queries(catalogue, titles, rng)
    brand = most_named_brand(asked, (product.brand for product in catalogue.products))
    blocks = TextBlocks()
    usual = blocks.add(asked)
    line = blocks.add([_fragment(title, rng) for title in titles[PRODUCTS:]])
    renamed = blocks.add([with_new_brand(text, brand) for text in asked])
    spanish = blocks.add([translated(text) for text in asked])
    queries = encode(blocks.texts)
    shortened = encode([title[:SHORT] for title in titles])
    axes = rng.standard_normal((queries.shape[1], TOPIC_AXES))
    tables = _tables(queries, products, shortened, rng)
    return World(
        texts=blocks.texts,
        words=[tuple(words_of(text)) for text in blocks.texts],
        usual=usual,
        line=line,
        renamed=np.where([names_brand(text, brand) for text in asked], renamed, usual),
        spanish=spanish,
        topics=_topics(queries[usual], axes),
        popularity=_popularity(len(usual), rng),
        tables=tables,
        titles=titles,
        documents={
            AS_EVER: transform(products, seed=SEED),
            "truncated titles": transform(shortened, seed=SEED),
        },
        document_topics=_topics(products, axes),
        weak=float(np.quantile(tables[AS_EVER].similar[usual, 0], 0.1)),
        brand=brand,
    )


def _assortment(
    catalogue: GradedCatalogue, encode: Encode, rng: np.random.Generator
) -> tuple[list[str], Vectors]:
    """Return titles and vectors of what is sold, and then of a product line: those most like one product."""
    numbers = rng.permutation(len(catalogue.products))[: PRODUCTS + LINE]
    titles = [catalogue.products[int(number)].title[:300] for number in numbers]
    vectors = encode(titles)
    nearest_last = np.argsort(vectors @ vectors[0])
    return [titles[number] for number in nearest_last], vectors[nearest_last]


def _usual_queries(catalogue: GradedCatalogue, titles: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the catalogue's queries, and pieces of titles of what is sold."""
    sold = rng.integers(0, PRODUCTS, FRAGMENTS)
    pieces = [_fragment(titles[int(number)], rng) for number in sold]
    return [query.text for query in catalogue.queries] + pieces


def _tables(
    queries: Vectors, products: Vectors, shortened: Vectors, rng: np.random.Generator
) -> dict[str, QueryTable]:
    """Return what is found in each scenario that changes it: who asks with which vectors among what."""
    noise = rng.standard_normal(queries.shape).astype(np.float32)
    noisy = queries + noise / np.linalg.norm(noise, axis=1, keepdims=True)
    flat = 0.05 * queries + queries.mean(axis=0)
    sold = products[:PRODUCTS]
    return {
        AS_EVER: _table(queries, sold),
        "broken encoder: noise": _table(noisy, sold),
        "broken encoder: permuted": _table(np.roll(queries, 1, axis=1), sold),
        "broken encoder: flat": _table(flat, sold),
        "truncated titles": _table(queries, shortened[:PRODUCTS]),
        "new product line": _table(queries, products),
    }


def _table(queries: Vectors, offered: Vectors) -> QueryTable:
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    best = -np.sort(-(unit @ offered.T), axis=1)[:, :TOP]
    return QueryTable(transform(unit.astype(np.float32), seed=SEED), best.astype(np.float32))


def _fragment(title: str, rng: np.random.Generator) -> str:
    words = title.split()
    length = int(rng.integers(2, 5))
    begin = int(rng.integers(0, max(1, len(words) - length)))
    return " ".join(words[begin : begin + length]).strip(" ,-|()") or title[:40]


def most_named_brand(texts: Sequence[str], brands: Iterable[str]) -> str:
    """Return the brand that is named in most of the texts, in lower case; empty when there is none."""
    counts = Counter(word for text in texts for word in words_of(text))
    names = {brand.casefold() for brand in brands if len(brand) > 3}
    return max(sorted(names), key=lambda brand: counts[brand], default="")


def names_brand(text: str, brand: str) -> bool:
    """Whether the text names the brand."""
    return bool(brand) and brand in text.casefold()


def with_new_brand(text: str, brand: str) -> str:
    """Return the text in lower case, the brand's name replaced by its new one."""
    return text.casefold().replace(brand, NEW_BRAND) if brand else text


def _topics(rows: Vectors, axes: NDArray[np.float64]) -> NDArray[np.int64]:
    signs = (rows - rows.mean(axis=0)) @ axes > 0
    topics: NDArray[np.int64] = signs @ 2 ** np.arange(TOPIC_AXES)
    return topics


def _popularity(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    shares = 1 / (rng.permutation(count) + 10.0)
    popularity: NDArray[np.float64] = shares / shares.sum()
    return popularity
