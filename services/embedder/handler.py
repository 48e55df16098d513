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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import structlog

from schemas.catalogue import ProductChange
from schemas.wire import clamp_event_time
from services.embedder import metrics
from services.embedder.backfill import Backfill
from services.embedder.domain.plan import Merged, Planned, merge_batch, plan
from services.embedder.domain.recovery import Recovery
from services.embedder.records import RecordLog
from services.embedder.store import DocumentStore, StateGoneError, Tenure, Write
from services.embedder.writer import RecordWriter
from shared.changes import reading_of
from shared.errors import FencedError, TransientError
from shared.ports import Clock
from shared.records import Applied, Batch, Partition, Record

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
    writer: RecordWriter
    records: RecordLog
    clock: Clock
    backfill: Backfill | None = None
    """Where a generation that is built from another begins."""


class Plan(NamedTuple):
    """A batch, merged: what each touched product needs."""

    items: list[Planned]
    merged: Merged


class EmbedderHandler:
    """The `PartitionHandler` of catalogue changes."""

    def __init__(self, ports: Ports) -> None:
        self._store = ports.store
        self._writer = ports.writer
        self._records = ports.records
        self._clock = ports.clock
        self._backfill = ports.backfill
        self._tenures: dict[Partition, Tenure] = {}
        self._one_scan = asyncio.Lock()
        self._ending = False

    def end_soon(self) -> None:
        """From now on a batch that is done in steps ends with the one in hand."""
        self._ending = True

    async def assigned(self, partition: Partition) -> int | None:
        """Take the partition over; rebuild its state from the index records when Redis has none."""
        return await self._take_over(partition)

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; its state is in Redis."""
        self._tenures.pop(partition, None)

    def decode(self, record: Record) -> ProductChange:
        """Read a change of any accepted form; raises `PoisonError`."""
        reading = reading_of(record)
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
        return Plan([plan(touched, self._writer.recipe) for touched in merged.touched], merged)

    async def _finish(self, tenure: Tenure, batch: Batch[ProductChange], planned: Plan) -> Applied:
        """Publish what needs no inference, embed and publish the rest, store it all."""
        start = batch.messages[0][0].offset if batch.messages else batch.next_offset
        start = start if tenure.next_offset is None else tenure.next_offset
        writes: list[Write] = []
        for slow in (False, True):
            items = [item for item in planned.items if bool(item.passages) is slow]
            if items:
                writes += await self._writer.send(tenure, items, start=start)
        done = await self._store.commit(tenure, writes, next_offset=batch.next_offset)
        self._tenures[tenure.partition] = done
        return Applied(planned.merged.applied, planned.merged.no_op)

    async def _tenure(self, partition: Partition, batch: Batch[ProductChange]) -> Tenure:
        """Return our hold on the partition, taken anew when Redis was emptied under us.

        The rebuilt state has every change that we published, so going on with this batch is right; but
        if somebody else is further, the partition is theirs.
        """
        if partition not in self._tenures:
            next_offset = await self._take_over(partition, at_most=batch.next_offset)
            if next_offset is not None and next_offset > batch.next_offset:
                del self._tenures[partition]
                raise FencedError(f"{partition}: another embedder is at {next_offset} already")
        return self._tenures[partition]

    async def _take_over(self, partition: Partition, *, at_most: int | None = None) -> int | None:
        tenure = await self._store.open(partition)
        if tenure.next_offset is None:
            tenure = await self._rebuild(tenure, at_most)
        self._tenures[partition] = tenure
        return tenure.next_offset

    async def _rebuild(self, tenure: Tenure, at_most: int | None) -> Tenure:
        """Fill the empty state from the records that the partition produced, or from another generation.

        What comes from the other generation may be further than this one was: it counts up to `at_most`.
        """
        async with self._one_scan:
            recovery = await self._recover(tenure)
            if recovery.epoch:  # records of a lower epoch would be older than those that are there
                tenure = await self._store.open(tenure.partition, above=recovery.epoch)
            next_offset = recovery.next_offset
            if self._backfill is not None and not next_offset:  # nothing proves that it was whole
                next_offset = await self._backfill.run(tenure)
                if next_offset is not None and at_most is not None:
                    next_offset = min(next_offset, at_most)
        if next_offset is None:
            return tenure
        return await self._store.commit(tenure, (), next_offset=next_offset)

    async def _recover(self, tenure: Tenure) -> Recovery:
        """Store what the index records of this generation say; returns what they prove."""
        recovery = Recovery(tenure.partition.topic, tenure.partition.number)
        restored = 0
        waiting: dict[str, Write] = {}
        async for record in self._records.scan():
            if (found := recovery.take(record.value, record.batch_start)) is not None:
                waiting[found[0]] = Write(*found, embedded=True)
            if len(waiting) >= RESTORE_AT_ONCE:
                restored += len(waiting)
                await self._store.restore(tenure, list(waiting.values()))
                waiting.clear()
        await self._store.restore(tenure, list(waiting.values()))
        restored += len(waiting)
        if restored:
            metrics.rebuilds.inc()
            log.warning(
                "state.rebuilt",
                partition=str(tenure.partition),
                records=restored,
                next_offset=recovery.next_offset,
            )
        return recovery


def _steps(batch: Batch[ProductChange], count: int) -> Iterator[Batch[ProductChange]]:
    """Cut the batch into `count` of about the same size; each ends where the next begins."""
    size = math.ceil(len(batch.messages) / count)
    for start in range(0, len(batch.messages), size):
        end = start + size
        following = batch.messages[end][0].offset if end < len(batch.messages) else batch.next_offset
        yield Batch(batch.messages[start:end], following)
