"""Embeds what must be embedded and publishes index records; the caller stores what comes back."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import orjson
from msgspec.structs import replace

from schemas.index import AnyRecord, attributes_key
from schemas.topics import index_records
from services.embedder import metrics
from services.embedder.domain.findings import Twin, text_findings
from services.embedder.domain.pace import EmbeddingPace, cost
from services.embedder.domain.plan import Planned, embedding_of, index_record
from services.embedder.domain.publication import Publication, attribute_record, publication_of
from services.embedder.domain.recovery import APPLIED
from services.embedder.domain.state import NOTHING, Embedding, StoredProduct
from services.embedder.home import HomeState, Write
from services.embedder.store import DocumentStore
from services.embedder.texts import TextIndex
from shared.arrays import Vectors
from shared.encoder.batcher import CoalescingEncoder
from shared.generations.replay import REPLAYED
from shared.metrics import stage
from shared.ports import Publisher, outgoing
from shared.records import Headers, Outgoing


class RecordWriter:
    """Writes the records of one generation, fenced by the epoch of a home's state."""

    def __init__(
        self,
        store: DocumentStore,
        encoder: CoalescingEncoder,
        publisher: Publisher,
        *,
        texts: TextIndex,
        generation: str,
    ) -> None:
        self.recipe = texts.recipe
        self.pace = EmbeddingPace()
        self.live = False
        """Whether the generation says what is true of a text whatever the model; one of several does."""
        self._texts = texts
        self._store = store
        self._encoder = encoder
        self._publisher = publisher
        self._generation = generation
        self._topic = index_records(generation).name

    async def send(self, home: HomeState, items: Sequence[Planned], *, replayed: bool = False) -> list[Write]:
        """Embed, make sure that the home is still ours, publish; returns what is to be stored.

        What is embedded takes time; else the home was ours when the products were read, a moment ago.

        What is `replayed` from other records proves nothing; else everything below the offsets of the home
        has been applied and published before.
        """
        applied = {topic: tuple(proven) for topic, proven in home.proven.items()}
        publications = await self._with_vectors(home, [publication_of(item) for item in items])
        twins = await self._texts.twins(items)
        embeddings = await self._embed([one.planned for one in publications], twins, replayed=replayed)
        if any(one.planned.kept is None for one in publications):  # it took its time since they were read
            await self._store.check(home)
        headers = ((REPLAYED, b"1"),) if replayed else ((APPLIED, orjson.dumps(applied)),)
        home.ahead = True
        await self._publish(home, headers, list(zip(publications, embeddings, strict=True)))
        await self._tell(items, twins, of_cut_alone=replayed or not self.live)
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
            replace(
                one, planned=replace(one.planned, kept=products[one.planned.touched.product_id].embedding)
            )
            if one.needs_vectors
            else one
            for one in publications
        ]

    async def _embed(
        self, planned: Sequence[Planned], twins: Mapping[str, Twin], *, replayed: bool
    ) -> list[Embedding]:
        """Return each product's embedding; equal texts go through the model once."""
        shared = {name: twin.embedding for name, twin in twins.items() if twin.embedding is not NOTHING}
        texts = list(
            dict.fromkeys(text for item in planned if item.product_id not in shared for text in item.passages)
        )
        metrics.texts_reused.inc(sum(item.kept is not None and bool(item.content_hash) for item in planned))
        metrics.texts_shared.inc(len(shared))
        if texts:
            began = time.monotonic()
            vectors = await self._encoder.encode_documents(texts, replayed=replayed)
            seconds = time.monotonic() - began
            metrics.embed_seconds.observe(seconds)
            self.pace.learn(sum(cost(len(text)) for text in texts), timedelta(seconds=seconds))
            metrics.embed_batch.observe(len(texts))
            metrics.texts_embedded.inc(len(texts))
        rows = {text: row for row, text in enumerate(texts)}

        def embedding(item: Planned) -> Embedding:
            if item.product_id in shared:
                return shared[item.product_id]
            made = _half(vectors[[rows[text] for text in item.passages]]) if item.passages else b""
            return embedding_of(item, made, self.recipe.fingerprint)

        return [embedding(item) for item in planned]

    async def _tell(self, items: Sequence[Planned], twins: Mapping[str, Twin], *, of_cut_alone: bool) -> None:
        """Publish what there is to say about texts that were embedded; again after a kill, it is the same."""
        generation = self._generation
        texts = (
            text_findings(item, twins.get(item.product_id), generation=generation, of_cut_alone=of_cut_alone)
            for item in items
        )
        findings = [message for message in texts if message is not None]
        for message in findings:
            for finding in message.findings:
                metrics.text_findings.labels(finding.reason).inc()
        if findings:
            await self._publisher.publish([outgoing(message) for message in findings])

    async def _publish(
        self, home: HomeState, headers: Headers, products: Sequence[tuple[Publication, Embedding]]
    ) -> None:
        messages = []
        with stage("records"):
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
