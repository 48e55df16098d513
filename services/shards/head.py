"""The head: the part that products are put into, visible as soon as they are there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from services.shards.columns import extended, gathered
from services.shards.part import PartView, ShardPart
from services.shards.products import ParsedProduct
from services.shards.rows import Halves, stacked
from shared.retrieval.bm25 import CorpusStatistics
from shared.retrieval.postings import NO_POSTINGS, Postings, lengths_of, merged, postings_of

NAME = "head"
CAPACITY = 1024
ID = "S128"
A = TypeVar("A", bound=np.generic)


class Head(ShardPart):
    """Grows at its end; views that were made before do not see what was put in after."""

    def __init__(self, dimensions: int, *, title_weight: float) -> None:
        super().__init__(empty(NAME, dimensions))
        self._title_weight = np.float32(title_weight)
        self._ids = np.zeros(CAPACITY, ID)
        self._vectors: Halves = np.zeros((CAPACITY, dimensions), np.float16)
        self._texts: list[bytes] = []
        self._states: list[bytes] = []

    def append(self, products: Sequence[ParsedProduct]) -> None:
        """Put products behind those that are there."""
        view, first = self.view, self.view.size
        size = first + len(products)
        self._ids = _with(self._ids, first, [product.product_id.encode() for product in products])
        self._texts += [product.text for product in products]
        self._states += [product.state.packed for product in products]
        titles, bodies = ([product.title for product in products], [product.body for product in products])
        new_lengths = np.stack([lengths_of(titles), lengths_of(bodies)])
        counts = np.array([len(product.vectors) for product in products], np.int64)
        lengths = np.concatenate([view.lengths, new_lengths], axis=1)
        offsets = np.array([product.offset for product in products], np.int64)
        epochs = np.array([product.epoch for product in products], np.int64)
        batch = gathered(list(enumerate((product.fields for product in products), first)))
        self.view = replace(
            view,
            ids=self._ids[:size],
            rows=stacked(self._with_vectors(products), np.concatenate([view.rows.counts(), counts])),
            blocks=_with_block(view.blocks, postings_of(titles, bodies, first=first), size),
            lengths=lengths,
            weighted_lengths=weighted(lengths, self._title_weight),
            texts=self._texts,
            states=self._states,
            newer_at=_behind(view.newer_at, np.full(len(products), -1, np.int32)),
            live=_behind(view.live, np.ones(len(products), np.bool_)),
            offsets=_behind(view.offsets, offsets),
            epochs=_behind(view.epochs, epochs),
            columns=extended(view.columns, batch),
            statistics=CorpusStatistics.total([view.statistics, statistics_of(new_lengths)]),
        )

    def _with_vectors(self, products: Sequence[ParsedProduct]) -> Halves:
        first = len(self.view.rows.vectors)
        dimensions = self._vectors.shape[1]
        more = [product.vectors for product in products if len(product.vectors)]
        rows = np.concatenate([np.empty((0, dimensions), np.float16), *more])
        self._vectors = _with(self._vectors, first, rows)
        return self._vectors[: first + len(rows)]


def empty(name: str, dimensions: int) -> PartView:
    """Return a part without products."""
    return PartView(
        name=name,
        ids=np.empty(0, ID),
        rows=stacked(np.empty((0, dimensions), np.float16), np.empty(0, np.int64)),
        blocks=(),
        lengths=np.empty((2, 0), np.uint32),
        weighted_lengths=np.empty(0, np.float32),
        texts=(),
        states=(),
        newer_at=np.empty(0, np.int32),
        newer=(),
        live=np.empty(0, np.bool_),
        offsets=np.empty(0, np.int64),
        epochs=np.empty(0, np.int64),
        columns={},
        statistics=CorpusStatistics(),
    )


def weighted(lengths: NDArray[np.uint32], title_weight: float | np.float32) -> NDArray[np.float32]:
    """Return the length of each product's text, in which its title counts more."""
    titles, bodies = lengths
    lengths_of_texts: NDArray[np.float32] = (np.float32(title_weight) * titles + bodies).astype(np.float32)
    return lengths_of_texts


def statistics_of(lengths: NDArray[np.uint32]) -> CorpusStatistics:
    """Return the statistics of products that all live."""
    titles, bodies = lengths.sum(axis=1, dtype=np.int64).tolist()
    return CorpusStatistics(lengths.shape[1], titles, bodies)


def _with_block(blocks: tuple[Postings, ...], block: Postings, size: int) -> tuple[Postings, ...]:
    """Return the blocks with another one, few of them: none is much larger than the one before it."""
    if block is NO_POSTINGS:
        return blocks
    grown = [*blocks, block]
    places = np.arange(size)
    while len(grown) > 1 and grown[-2].places.size <= 2 * grown[-1].places.size:
        last, before = grown.pop(), grown.pop()
        grown.append(merged([before, last], [places, places]))
    return tuple(grown)


def _with(array: NDArray[A], first: int, more: object) -> NDArray[A]:
    """Return the array with more behind `first`: itself, or twice as large a copy."""
    values = np.asarray(more, array.dtype)
    end = first + len(values)
    if end > len(array):
        larger = np.zeros((max(end, 2 * len(array)), *array.shape[1:]), array.dtype)
        larger[:first] = array[:first]
        array = larger
    array[first:end] = values
    return array


def _behind(before: NDArray[A], more: NDArray[A]) -> NDArray[A]:
    return np.concatenate([before, more])
