"""Embeds what must be embedded and publishes index records; the caller stores what comes back."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import orjson

from schemas.index import AnyRecord, attributes_key
from services.embedder import metrics
from services.embedder.domain.plan import EmbeddingRecipe, Planned, embedding_of, index_record
from services.embedder.domain.publication import Publication, attribute_record, publication_of
from services.embedder.domain.recovery import APPLIED
from services.embedder.domain.state import Embedding, StoredProduct
from services.embedder.home import HomeState, Write
from services.embedder.store import DocumentStore
from shared.encoder.batcher import CoalescingEncoder
from shared.generations.replay import REPLAYED
from shared.ports import Publisher, Vectors
from shared.records import Headers, Outgoing


class RecordWriter:
    """Writes the records of one generation, fenced by the epoch of a home's state."""

    def __init__(
        self,
        store: DocumentStore,
        encoder: CoalescingEncoder,
        publisher: Publisher,
        *,
        recipe: EmbeddingRecipe,
        topic: str,
    ) -> None:
        self.recipe = recipe
        self._store = store
        self._encoder = encoder
        self._publisher = publisher
        self._topic = topic

    async def send(self, home: HomeState, items: Sequence[Planned], *, replayed: bool = False) -> list[Write]:
        """Embed, make sure that the home is still ours, publish; returns what is to be stored.

        What is `replayed` from other records proves nothing; else everything below the offsets of the home
        has been applied and published before.
        """
        applied = {topic: tuple(proven) for topic, proven in home.proven.items()}
        publications = await self._with_vectors(home, [publication_of(item) for item in items])
        embeddings = await self._embed([one.planned for one in publications])
        await self._store.check(home)
        headers = ((REPLAYED, b"1"),) if replayed else ((APPLIED, orjson.dumps(applied)),)
        home.ahead = True
        await self._publish(home, headers, list(zip(publications, embeddings, strict=True)))
        return [
            Write(
                one.planned.touched.product_id,
                StoredProduct(one.planned.touched.document, embedding, one.places()),
                _changed(one.planned),
            )
            for one, embedding in zip(publications, embeddings, strict=True)
        ]

    async def _with_vectors(
        self, home: HomeState, publications: Sequence[Publication]
    ) -> Sequence[Publication]:
        """Read the vectors that are written again, of products whose text is as it was."""
        unread = {
            one.planned.touched.product_id: one.planned.touched.before
            for one in publications
            if one.needs_vectors
        }
        if not unread:
            return publications
        products = await self._store.with_vectors(home, unread)
        return [
            one._replace(
                planned=replace(one.planned, kept=products[one.planned.touched.product_id].embedding)
            )
            if one.needs_vectors
            else one
            for one in publications
        ]

    async def _embed(self, planned: Sequence[Planned]) -> list[Embedding]:
        """Return each product's embedding; equal texts go through the model once."""
        texts = list(dict.fromkeys(text for item in planned for text in item.passages))
        metrics.texts_reused.inc(sum(item.kept is not None and bool(item.content_hash) for item in planned))
        if texts:
            with metrics.embed_seconds.time():
                vectors = await self._encoder.encode_documents(texts)
            metrics.embed_batch.observe(len(texts))
            metrics.texts_embedded.inc(len(texts))
        rows = {text: row for row, text in enumerate(texts)}
        return [
            embedding_of(
                item,
                _half(vectors[[rows[text] for text in item.passages]]) if item.passages else b"",
                self.recipe.fingerprint,
            )
            for item in planned
        ]

    async def _publish(
        self, home: HomeState, headers: Headers, products: Sequence[tuple[Publication, Embedding]]
    ) -> None:
        messages = []
        for one, embedding in products:
            record = self._record(one, embedding, epoch=home.epoch)
            key, value = record.key(), record.encode()
            messages.append(Outgoing(self._topic, key, value, headers, partition=home.number))
            if one.ends_attributes:  # behind the index record, which says all of it
                key = attributes_key(record.product_id)
                messages.append(Outgoing(self._topic, key, None, partition=home.number))
        await self._publisher.publish(messages)
        home.published += len(messages)
        metrics.records_published.inc(len(products))
        metrics.attributes_published.inc(sum(one.known is not None for one, _ in products))

    def _record(self, one: Publication, embedding: Embedding, *, epoch: int) -> AnyRecord:
        if one.known is None:
            return index_record(one.planned, embedding, self.recipe, epoch=epoch)
        return attribute_record(one.planned, one.known, self.recipe, epoch=epoch)


def _changed(planned: Planned) -> bool:
    """Whether the stored vectors must change: embedded anew, or the product was deleted."""
    return planned.kept is None or not planned.content_hash


def _half(vectors: Vectors) -> bytes:
    return vectors.astype(np.dtype("<f2")).tobytes()
