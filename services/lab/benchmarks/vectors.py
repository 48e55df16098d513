"""Product vectors and the index records that carry them, as many as a bench wants."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.base import Coordinates, FieldValue
from schemas.catalogue import Document, Revision
from schemas.index import IndexRecord, Passage
from services.embedder.domain.plan import hash_content
from services.embedder.settings import EmbedderSettings
from services.lab.simulation.catalogue import ShopProduct
from shared.arrays import Vectors
from shared.ports import Encoder
from shared.records import Partition, Record

NOISE = 0.35
"""Length of what is added to a copy's unit vector: copies are alike, as the variants of a product are."""

PIECE = 50_000
FieldsOf = Callable[[int, ShopProduct], Mapping[str, FieldValue]]


class WrittenVector(NamedTuple):
    """Which product a record is about, and the row of its vector; no row: it was deleted."""

    product: int
    row: int | None


def perturbed(originals: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Return `count` unit rows: the originals, then noisy copies of them, rounded to float16."""
    sources = np.arange(count) % len(originals)
    rows = originals[sources].astype(np.float32)
    copies = rows[len(originals) :]
    noise = rng.standard_normal(copies.shape, dtype=np.float32)
    copies += NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    halves: Vectors = rows.astype(np.float16).astype(np.float32)
    return halves


def perturbed_halves(originals: Vectors, count: int, rng: np.random.Generator) -> NDArray[np.float16]:
    """Return `count` float16 unit rows as `perturbed` makes them, of which never many are float32 at once."""
    halves = np.empty((count, originals.shape[1]), np.float16)
    for start in range(0, count, PIECE):
        piece = halves[start : start + PIECE]
        rows = originals[np.arange(start, start + len(piece)) % len(originals)].astype(np.float32)
        copies = rows[max(0, len(originals) - start) :]
        noise = rng.standard_normal(copies.shape, dtype=np.float32)
        copies += NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        piece[:] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return halves


def life(
    products: int, *, overwrites: float, deletes: float, rng: np.random.Generator
) -> list[WrittenVector]:
    """Return what happens to the products in order: each is written, then some anew, then some deleted."""
    written = [WrittenVector(product, product) for product in range(products)]
    again = rng.choice(products, int(products * overwrites), replace=False).tolist()
    deleted = rng.choice(products, int(products * deletes), replace=False).tolist()
    rows = range(products, products + len(again))
    return (
        written
        + [WrittenVector(product, row) for product, row in zip(again, rows, strict=True)]
        + [WrittenVector(product, None) for product in deleted]
    )


def alive(history: Sequence[WrittenVector]) -> dict[int, int]:
    """Return {product: row of its vector} of the products that live in the end."""
    last = {written.product: written.row for written in history}
    return {product: row for product, row in last.items() if row is not None}


def records(
    history: Sequence[WrittenVector],
    vectors: Vectors,
    products: Sequence[ShopProduct],
    encoder: Encoder,
    now: datetime,
    *,
    fields_of: FieldsOf = lambda _, product: product.fields(),
) -> Iterator[Record]:
    """Yield the messages of one partition of the index topic, as the embedder writes them.

    `fields_of` says which attributes the product of a number has.
    """
    partition = Partition(IndexRecord.topic, 0)
    for offset, written in enumerate(history):
        product = products[written.product % len(products)]
        fields = fields_of(written.product, product) if written.row is not None else {}
        message = _message(written, offset, product, encoder, now, fields)
        if written.row is not None:
            vector = vectors[written.row].astype("<f2").tobytes()
            message = message.model_copy(update={"vectors": vector})
        yield Record(partition, offset, message.key(), message.encode(), now)


def name_of(product: int) -> str:
    """Return the id of a bench product."""
    return f"p{product:07d}"


def _message(
    written: WrittenVector,
    offset: int,
    product: ShopProduct,
    encoder: Encoder,
    now: datetime,
    fields: Mapping[str, FieldValue],
) -> IndexRecord:
    exists = written.row is not None
    document = Document(
        fields=dict(fields),
        revisions=(Revision(line="version", version=(offset,), op="upsert" if exists else "delete"),),
        base=0,
    )
    return IndexRecord(
        product_id=name_of(written.product),
        document=document,
        text=product.title if exists else "",
        content_hash=hash_content(product.title, EmbedderSettings().cut) if exists else "",
        fingerprint=encoder.fingerprint,
        dimensions=encoder.dimensions,
        passages=(Passage(start=0, end=len(product.title)),) if exists else (),
        source=Coordinates(topic="catalogue.changes.v1", partition=0, offset=offset),
        epoch=1,
        event_time=now,
    )
