"""Embeds what must be embedded and publishes index records; the caller stores what comes back."""

from collections.abc import Sequence

import numpy as np
import orjson

from services.embedder import metrics
from services.embedder.domain.plan import EmbeddingRecipe, Planned, embedding_of, index_record
from services.embedder.domain.recovery import APPLIED
from services.embedder.domain.state import Embedding, StoredProduct
from services.embedder.store import DocumentStore, HomeState, Write
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
        embeddings = await self._embed(items)
        await self._store.check(home)
        headers = ((REPLAYED, b"1"),) if replayed else ((APPLIED, orjson.dumps(applied)),)
        home.ahead = True
        await self._publish(home, headers, list(zip(items, embeddings, strict=True)))
        home.published += len(items)
        return [
            Write(item.touched.product_id, StoredProduct(item.touched.document, embedding), _changed(item))
            for item, embedding in zip(items, embeddings, strict=True)
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
        self, home: HomeState, headers: Headers, products: Sequence[tuple[Planned, Embedding]]
    ) -> None:
        messages = []
        for item, embedding in products:
            record = index_record(item, embedding, self.recipe, epoch=home.epoch)
            value = record.encode()
            messages.append(Outgoing(self._topic, record.key(), value, headers, partition=home.number))
        await self._publisher.publish(messages)
        metrics.records_published.inc(len(messages))


def _changed(planned: Planned) -> bool:
    """Whether the stored vectors must change: embedded anew, or the product was deleted."""
    return planned.kept is None or not planned.content_hash


def _half(vectors: Vectors) -> bytes:
    return vectors.astype(np.dtype("<f2")).tobytes()
