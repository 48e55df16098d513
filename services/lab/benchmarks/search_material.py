"""What `bench search` asks, and of what: the products as the index has them, with their vectors."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from rich.progress import Progress

from headrace.search_api import SearchClient
from schemas.index import IndexRecord, read_record
from schemas.topics import index_records
from services.lab.benchmarks.harness import STALLED_SECONDS, write
from services.lab.benchmarks.loading import load
from services.lab.benchmarks.second_generation import documents
from services.lab.benchmarks.vectors import perturbed
from services.lab.simulation.catalogue import GradedCatalogue
from shared.arrays import Vectors
from shared.catalogue.plain_text import normal_form
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.stack import Stack
from shared.kafka.topic_reader import TopicReader
from shared.ports import Encoder, outgoing
from shared.records import Outgoing
from shared.settings import Settings

WORDS = 4
"""Of a title, as a query that nobody asked before."""
SELECTED = (0.1, 0.01)
"""Shares of the products that the filters select, by price."""
SEED = 1
POLL_SECONDS = 0.25
COPIES = 5000
"""Records of copies that are made at once."""


@dataclass(frozen=True, slots=True)
class IndexedProducts:
    """The products of an index; row by row their ids, attributes, and vectors (float32, unit length)."""

    ids: list[str]
    fields: list[dict[str, Any]]  # Any: attribute values
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Questions:
    """Texts that are asked again and again, with their vectors, and texts that are asked once."""

    known: list[str]
    vectors: Vectors
    new: list[str]
    cheaper: dict[float, float]
    """By the share of products that it selects, the price that these cost less than."""


def fill(stack: Stack, catalogue: GradedCatalogue, copies: int, progress: Progress) -> IndexedProducts:
    """Load the catalogue, and that many copies of its products; return all, as the index has them.

    The catalogue goes the whole way. Copies have vectors near those of their originals; they are written as
    the embedder would write them, since embedding them would take minutes and show nothing.
    """
    with SearchClient(stack.url("search")) as client:
        load(stack.settings, client, catalogue, progress=progress)
    originals = asyncio.run(_records(stack.settings))
    if not copies:
        return _products(originals)
    made = list(originals)
    written = progress.add_task("copies, written", total=copies)
    for portion in _copies(originals, copies):
        write(stack.settings, [_message(stack.settings, record) for record in portion], lambda _: None)
        made += portion
        progress.advance(written, len(portion))
    _wait(stack.settings, len(made), progress)
    return _products(made)


def questions(catalogue: GradedCatalogue, products: IndexedProducts, encoder: Encoder) -> Questions:
    """Return what is asked: the catalogue's queries, and beginnings of titles that are none of them."""
    known = list({normal_form(query.text): query.text for query in catalogue.queries}.values())
    beginnings = (" ".join(product.title.split()[:WORDS]) for product in catalogue.products)
    new = {normal_form(text): text for text in beginnings}
    for text in known:
        new.pop(normal_form(text), None)
    return Questions(known, encoder.encode_queries(known), list(new.values()), _cheaper(products))


def _cheaper(products: IndexedProducts) -> dict[float, float]:
    prices = sorted(fields["price"] for fields in products.fields if fields.get("price"))
    if not prices:
        raise ConfigurationError("no product has a price to filter by")
    rank = {share: min(len(prices) - 1, int(share * len(products.ids))) for share in SELECTED}
    return {share: float(prices[place]) for share, place in rank.items()}


async def _records(settings: Settings) -> list[IndexRecord]:
    """Return the last index record of every product there is."""
    last: dict[str, IndexRecord] = {}
    async with TopicReader(settings, [index_records(settings.generation).name]) as reader:
        async for record in reader.news():
            message = read_record(record.value) if record.value else None
            if isinstance(message, IndexRecord):
                last[message.product_id] = message
    return [record for record in last.values() if record.passages]


def _products(records: Sequence[IndexRecord]) -> IndexedProducts:
    vectors = np.stack([_vectors(record)[0] for record in records])
    return IndexedProducts(
        [record.product_id for record in records],
        [dict(record.document.fields) for record in records],
        vectors,
    )


def _vectors(record: IndexRecord) -> Vectors:
    rows = np.frombuffer(record.vectors, "<f2").reshape(len(record.passages), record.dimensions)
    return rows.astype(np.float32)


def _copies(originals: Sequence[IndexRecord], copies: int) -> Iterator[list[IndexRecord]]:
    """Yield copies of the originals in turn, portion by portion, each with one passage near its own."""
    first, rng = np.stack([_vectors(record)[0] for record in originals]), np.random.default_rng(SEED)
    for start in range(0, copies, COPIES):
        numbers = range(start, min(start + COPIES, copies))
        sources = [number % len(originals) for number in numbers]
        near = perturbed(first[sources], 2 * len(sources), rng)[len(sources) :]
        yield [
            originals[source].model_copy(
                update={
                    "product_id": f"copy-{number}",
                    "passages": originals[source].passages[:1],
                    "vectors": vector.astype("<f2").tobytes(),
                }
            )
            for number, source, vector in zip(numbers, sources, near, strict=True)
        ]


def _message(settings: Settings, record: IndexRecord) -> Outgoing:
    return outgoing(record, topic=index_records(settings.generation).name)


def _wait(settings: Settings, expected: int, progress: Progress) -> None:
    """Return when the shards have so many products; raises `TransientError` when they stall."""
    bar = progress.add_task("copies, searchable", total=expected)
    last, moved = -1, time.monotonic()
    for _ in count():
        there = documents(settings, settings.generation)
        progress.update(bar, completed=there)
        if there >= expected:
            return
        if there != last:
            last, moved = there, time.monotonic()
        if time.monotonic() - moved > STALLED_SECONDS:
            raise TransientError(f"{there} of {expected} products are indexed, and no more come")
        time.sleep(POLL_SECONDS)
