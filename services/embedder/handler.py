"""What the embedder does with a batch, in the order that keeps every effect safe.

1. read what Redis has of the products (and that we still hold the partition);
2. merge; products whose texts have their vectors (a price changed, a delete) go first;
3. embed the other texts; check the epoch, publish the index records, all acknowledged;
4. store documents, vectors and next offset in one script that checks the epoch again.

A crash before 4 leaves the old state: the batch is read, merged and published again, with the same
result. A crash cannot leave state that was not published.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import structlog

from schemas.catalogue import ProductChange
from schemas.wire import WireError, clamp_event_time, read_change
from services.embedder import metrics
from services.embedder.domain.plan import (
    Merged,
    Planned,
    Recipe,
    embedding_of,
    index_record,
    merge_batch,
    plan,
)
from services.embedder.domain.recovery import BATCH_START, Recovery
from services.embedder.domain.state import Embedding, Product
from services.embedder.records import RecordLog
from services.embedder.store import DocumentStore, StateGoneError, Tenure, Write
from shared.encoder.batcher import CoalescingEncoder
from shared.errors import FencedError, PoisonError, TransientError
from shared.ports import Clock, Publisher, Vectors
from shared.records import Applied, Batch, Outgoing, Partition, Record

log = structlog.get_logger()

OLDEST = timedelta(days=36500)
RESTORE_AT_ONCE = 256
TEXTS_AT_ONCE = 256
"""A batch with more texts to embed is done in steps: what is embedded is soon searchable, and a kill
repeats little. Changes that need no inference go in large batches, which cost the shards fewer commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the handler reaches out to."""

    store: DocumentStore
    encoder: CoalescingEncoder
    records: RecordLog
    publisher: Publisher
    clock: Clock


class Plan(NamedTuple):
    """A batch, merged: what each touched product needs."""

    items: list[Planned]
    merged: Merged


class EmbedderHandler:
    """The `PartitionHandler` of catalogue changes; index records go to `topic`."""

    def __init__(self, ports: Ports, recipe: Recipe, *, topic: str) -> None:
        self._store = ports.store
        self._encoder = ports.encoder
        self._records = ports.records
        self._publisher = ports.publisher
        self._clock = ports.clock
        self._recipe = recipe
        self._topic = topic
        self._tenures: dict[Partition, Tenure] = {}
        self._one_scan = asyncio.Lock()
        self._ending = False

    def end_soon(self) -> None:
        """From now on a batch that is done in steps ends with the one in hand."""
        self._ending = True

    async def assigned(self, partition: Partition) -> int | None:
        """Take the partition over; rebuild its state from the index records when Redis has none."""
        tenure = await self._store.open(partition)
        if tenure.next_offset is None:
            tenure = await self._rebuild(tenure)
        self._tenures[partition] = tenure
        return tenure.next_offset

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; its state is in Redis."""
        self._tenures.pop(partition, None)

    def decode(self, record: Record) -> ProductChange:
        """Read a change of any accepted form; raises `PoisonError`."""
        try:
            reading = read_change(
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp=record.timestamp,
                offset=record.offset,
            )
        except WireError as error:
            raise PoisonError(error.reason, error.explanation) from error
        metrics.texts_cut.inc(len(reading.cut))
        change = reading.change
        moment = clamp_event_time(change.event_time, self._clock.now(), OLDEST)
        if moment == change.event_time:
            return change
        return change.model_copy(update={"event_time": moment})

    async def handle(self, partition: Partition, batch: Batch[ProductChange]) -> Applied:
        """Merge, embed, publish, store; durable on return."""
        try:
            tenure = await self._tenure(partition, batch)
            planned = await self._plan(tenure, batch)
            texts = sum(len(item.passages) for item in planned.items)
            if texts <= TEXTS_AT_ONCE or len(batch.messages) == 1:
                return await self._finish(tenure, batch, planned)
            return await self._in_steps(partition, _steps(batch, math.ceil(texts / TEXTS_AT_ONCE)))
        except StateGoneError:
            self._tenures.pop(partition, None)
            raise

    async def _in_steps(self, partition: Partition, steps: Iterable[Batch[ProductChange]]) -> Applied:
        """Finish one step after the other; done again after a failure, the first ones change nothing."""
        applied = no_op = 0
        for step in steps:
            if applied + no_op and self._ending:
                raise TransientError("the rest of the batch is for the next owner")
            tenure = self._tenures[partition]
            done = await self._finish(tenure, step, await self._plan(tenure, step))
            applied, no_op = applied + done.applied, no_op + done.no_op
        return Applied(applied, no_op)

    async def _plan(self, tenure: Tenure, batch: Batch[ProductChange]) -> Plan:
        """Merge the batch with what is stored, and say what each product needs."""
        ids = list(dict.fromkeys(change.product_id for _, change in batch.messages))
        stored = await self._store.read(tenure, ids)
        merged = merge_batch([(record.coordinates, change) for record, change in batch.messages], stored)
        return Plan([plan(touched, self._recipe) for touched in merged.touched], merged)

    async def _finish(self, tenure: Tenure, batch: Batch[ProductChange], planned: Plan) -> Applied:
        """Publish what needs no inference, embed and publish the rest, store it all."""
        start = batch.messages[0][0].offset if batch.messages else batch.next_offset
        start = start if tenure.next_offset is None else tenure.next_offset
        writes: list[Write] = []
        for slow in (False, True):
            items = [item for item in planned.items if bool(item.passages) is slow]
            if items:
                writes += await self._send(tenure, start, items)
        done = await self._store.commit(tenure, writes, next_offset=batch.next_offset)
        self._tenures[tenure.partition] = done
        return Applied(planned.merged.applied, planned.merged.no_op)

    async def _send(self, tenure: Tenure, start: int, items: Sequence[Planned]) -> list[Write]:
        """Embed, make sure that the partition is still ours, publish; returns what is to be stored."""
        embeddings = await self._embed(items)
        await self._store.check(tenure)
        await self._publish(tenure, start, list(zip(items, embeddings, strict=True)))
        return [
            Write(item.touched.product_id, Product(item.touched.document, embedding), _changed(item))
            for item, embedding in zip(items, embeddings, strict=True)
        ]

    async def _tenure(self, partition: Partition, batch: Batch[ProductChange]) -> Tenure:
        """Return our hold on the partition, taken anew when Redis was emptied under us.

        The rebuilt state has every change that we published, so going on with this batch is right; but
        if somebody else is further, the partition is theirs.
        """
        if partition not in self._tenures:
            next_offset = await self.assigned(partition)
            if next_offset is not None and next_offset > batch.next_offset:
                del self._tenures[partition]
                raise FencedError(f"{partition}: another embedder is at {next_offset} already")
        return self._tenures[partition]

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
                self._recipe.fingerprint,
            )
            for item in planned
        ]

    async def _publish(
        self, tenure: Tenure, start: int, products: Sequence[tuple[Planned, Embedding]]
    ) -> None:
        headers = ((BATCH_START, str(start).encode()),)
        messages = []
        for item, embedding in products:
            record = index_record(item, embedding, self._recipe, epoch=tenure.epoch)
            messages.append(Outgoing(self._topic, record.key(), record.encode(), headers))
        await self._publisher.publish(messages)
        metrics.records_published.inc(len(messages))

    async def _rebuild(self, tenure: Tenure) -> Tenure:
        """Fill the empty state of a partition from the index records that it produced."""
        recovery = Recovery(tenure.partition.topic, tenure.partition.number)
        restored = 0
        async with self._one_scan:
            waiting: dict[str, Write] = {}
            async for value, batch_start in self._records.scan():
                if (found := recovery.take(value, batch_start)) is not None:
                    waiting[found[0]] = Write(*found, embedded=True)
                if len(waiting) >= RESTORE_AT_ONCE:
                    restored += len(waiting)
                    await self._store.restore(tenure, list(waiting.values()))
                    waiting.clear()
            await self._store.restore(tenure, list(waiting.values()))
            restored += len(waiting)
        if recovery.next_offset is None:
            return tenure
        tenure = await self._store.open(tenure.partition, above=recovery.epoch)
        metrics.rebuilds.inc()
        log.warning(
            "state.rebuilt",
            partition=str(tenure.partition),
            records=restored,
            next_offset=recovery.next_offset,
            epoch=tenure.epoch,
        )
        return await self._store.commit(tenure, (), next_offset=recovery.next_offset)


def _steps(batch: Batch[ProductChange], count: int) -> Iterator[Batch[ProductChange]]:
    """Cut the batch into `count` of about the same size; each ends where the next begins."""
    size = math.ceil(len(batch.messages) / count)
    for start in range(0, len(batch.messages), size):
        end = start + size
        following = batch.messages[end][0].offset if end < len(batch.messages) else batch.next_offset
        yield Batch(batch.messages[start:end], following)


def _changed(planned: Planned) -> bool:
    """Whether the stored vectors must change: embedded anew, or the product was deleted."""
    return planned.kept is None or not planned.content_hash


def _half(vectors: Vectors) -> bytes:
    return vectors.astype(np.dtype("<f2")).tobytes()
