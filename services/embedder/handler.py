"""What the embedder does with a batch, in the order that keeps every effect safe.

1. read what Redis has of the products (and that we still hold their home);
2. merge; products whose texts have their vectors (a price changed, a delete) go first;
3. embed the other texts, then check the epoch; publish the index records, all acknowledged;
4. store documents, vectors and next offset in one script that checks the epoch again.

A crash before 4 leaves the old state, and cannot leave state that was not published. The batch is read again,
perhaps in other portions, or after one of the other log. So that no record then knows less than one that was
seen, whatever was published and not stored comes first: its records are merged into the state.

A home is fed by two logs, its partition of the changes and that of the repartition topic. One batch of one of
them is worked on at a time, so that no product is merged twice from the same state.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from schemas.catalogue import StampedChange
from schemas.index import AnyRecord
from schemas.wire import clamp_event_time
from services.embedder import metrics
from services.embedder.backfill import AT_ONCE
from services.embedder.domain.pace import STEP
from services.embedder.domain.plan import Merged, Planned, Touched, merge_batch, plan
from services.embedder.domain.recovery import Last, StateRecovery
from services.embedder.domain.state import StoredProduct
from services.embedder.domain.steps import Changes, portions
from services.embedder.home import LOGS, HomeState, Write
from services.embedder.ports import Ports
from services.embedder.sources import first_affected
from shared.catalogue.acceptances import NONE
from shared.catalogue.changes import ChangeReader
from shared.catalogue.older import update
from shared.errors import RewindError, StateLostError, TransientError
from shared.metrics import stage
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.streaming.repartition import home_of, original

log = structlog.get_logger()

OLDEST = timedelta(days=36500)
RESTORE_AT_ONCE = 256


class BatchPlan(NamedTuple):
    """A batch, merged: what each touched product needs, and those of which nothing is published."""

    items: list[Planned]
    unwritten: list[Write]
    merged: Merged


class EmbedderHandler:
    """The `PartitionHandler` of both logs of catalogue changes."""

    def __init__(self, ports: Ports) -> None:
        self._store = ports.store
        self._writer = ports.writer
        self._records = ports.records
        self._clock = ports.clock
        self._count = ports.homes
        self._parts = ports.parts
        self._sources = ports.sources
        self._backfill = ports.backfill
        self._homes: dict[int, HomeState] = {}
        self._reading: dict[Partition, HomeState] = {}
        """The home as it was when the reader of a log was told where to begin."""
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._one_scan = asyncio.Lock()
        self._ending = False

    def end_soon(self) -> None:
        """From now on a batch that is done in steps ends with the one in hand."""
        self._ending = True

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take the home over, or join who has; rebuild its state from index records when Redis has none."""
        number, topic = partition.number, partition.topic
        async with self._turns[number]:
            home = self._homes.get(number)
            try:
                if home is None:
                    home = self._homes[number] = await self._take_over(number, topic, source)
                else:
                    await self._store.join(home, topic, source)
                home = await self._accept(home)
            except StateLostError as error:
                self._homes.pop(number, None)
                raise TransientError(f"home {number} is taken over again: {error}") from error
            self._reading[partition] = home
            return home.next_offset(topic)

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; the state of its home is in Redis."""
        self._reading.pop(partition, None)
        if not any(other.number == partition.number for other in self._reading):
            self._homes.pop(partition.number, None)

    def decode(self, record: Record) -> StampedChange | None:
        """Read a change of any accepted form; None: it is at home elsewhere. Raises `PoisonError`."""
        at = record.partition
        home = self._reading.get(at)
        reader = ChangeReader(self._parts, NONE if home is None else home.accepted)
        reading = reader.read(original(record))
        change = reading.change
        if home_of(change.product_id.encode(), at, self._count) != at.number:
            return None
        if reading.cut:
            metrics.texts_cut.inc(len(reading.cut))
        moment = clamp_event_time(change.event_time, self._clock.now(), OLDEST)
        return change if moment is change.event_time else replace(change, event_time=moment)

    async def handle(self, partition: Partition, batch: Batch[StampedChange | None]) -> Applied:
        """Merge, embed, publish, store; durable on return."""
        changes = Batch(
            [(record, change) for record, change in batch.messages if change is not None], batch.next_offset
        )
        async with self._turns[partition.number]:
            with self._held(partition) as home:
                done = await self._apply(home, partition.topic, changes)
        return done + Applied(0, forwarded=len(batch.messages) - len(changes.messages))

    @contextmanager
    def _held(self, partition: Partition) -> Iterator[HomeState]:
        """Give the partition's home; have the reader ask where to read on when its state was lost.

        It is rebuilt, or taken over as it is where it is older; the reader of the other log finds it anew.
        """
        home = self._homes.get(partition.number)
        if home is None or home is not self._reading[partition]:
            raise RewindError(f"the state of home {partition.number} was taken over anew")
        try:
            yield home
        except StateLostError as error:
            self._homes.pop(partition.number, None)
            raise RewindError(str(error)) from error

    async def _apply(self, home: HomeState, topic: str, batch: Changes) -> Applied:
        if home.ahead:
            await self._catch_up(home)
        planned = await self._plan(home, batch)
        characters = sum(item.characters for item in planned.items)
        most = self._writer.pace.characters_within(STEP)
        if characters <= most or len(batch.messages) == 1:
            return await self._finish(home, batch, planned, topic=topic)
        if quick := [item for item in planned.items if not item.passages]:
            # Until its step is done the offset says nothing of them: merged again, they change nothing.
            await self._store.restore(home, await self._writer.send(home, quick))
        await self._in_steps(home, batch, planned, topic=topic)
        return planned.merged.applied

    async def _in_steps(self, home: HomeState, batch: Changes, planned: BatchPlan, *, topic: str) -> None:
        """Embed, publish and store some texts after the other; the offset follows, to the first that is left.

        Done again after a failure, what was stored changes nothing.
        """
        first = {change.product_id: at for at, (_, change) in reversed([*enumerate(batch.messages)])}
        slow = [item for item in planned.items if item.passages]
        slow.sort(key=lambda item: first[item.product_id])
        writes, done, start = planned.unwritten, 0, 0
        for step in portions(
            slow, attrgetter("characters"), partial(self._writer.pace.characters_within, STEP)
        ):
            if done and self._ending:
                raise TransientError("the rest of the batch is for the next owner")
            writes = writes + await self._writer.send(home, step)
            done += len(step)
            end = first[slow[done].product_id] if done < len(slow) else len(batch.messages)
            following = batch.messages[end][0].offset if end < len(batch.messages) else batch.next_offset
            older = update(home.older, planned.merged.changes[start:end], self._clock.now())
            await self._store.commit(home, writes, older, topic=topic, next_offset=following)
            writes, start = [], end

    async def _plan(self, home: HomeState, batch: Changes) -> BatchPlan:
        """Merge the batch with what is stored, and say what each product needs."""
        ids = list(dict.fromkeys(change.product_id for _, change in batch.messages))
        stored = await self._store.read(home, ids)
        with stage("merge"):
            changes = [(original(record).coordinates, change) for record, change in batch.messages]
            merged = merge_batch(changes, stored, home.accepted)
        with stage("plan"):
            items = [plan(touched, self._writer.recipe) for touched in merged.touched if touched.is_written]
        first = batch.messages[0][0].offset if batch.messages else 0
        unwritten = [
            Write(
                touched.product_id,
                StoredProduct(touched.document, touched.before.embedding),
                embedded=False,
                unwritten=first,
            )
            for touched in merged.touched
            if not touched.is_written
        ]
        return BatchPlan(items, unwritten, merged)

    async def _finish(self, home: HomeState, batch: Changes, planned: BatchPlan, *, topic: str) -> Applied:
        """Publish what needs no inference, embed and publish the rest, store it all."""
        writes = planned.unwritten
        for slow in (False, True):
            items = [item for item in planned.items if bool(item.passages) is slow]
            if items:
                writes = writes + await self._writer.send(home, items)
        older = update(home.older, planned.merged.changes, self._clock.now())
        await self._store.commit(home, writes, older, topic=topic, next_offset=batch.next_offset)
        return planned.merged.applied

    async def _accept(self, home: HomeState) -> HomeState:
        """Have the home read again from where sources begin that were accepted and that it does not know.

        That is stored before anything is read by it. The reader of the other log finds the home changed.
        """
        new = NONE if self._sources is None else self._sources.known - home.accepted
        if self._sources is None or not new:
            return home
        logs = (Partition(topic, home.number) for topic in LOGS)
        first = {at.topic: await first_affected(self._sources, at, new) for at in logs}
        accepted = await self._store.accept(home, new, first)
        self._homes[home.number] = accepted
        log.info("sources.accepted", home=home.number, sources=sorted(new), read_from=first)
        return accepted

    async def _take_over(self, number: int, topic: str, source: Log) -> HomeState:
        home = await self._store.claim(number, topic, source)
        if home.whole:
            await self._catch_up(home)
            return home
        await self._store.remove_layout_1(number)
        async with self._one_scan:
            return await self._rebuild(home, topic, source)

    async def _catch_up(self, home: HomeState) -> None:
        """Merge the records into the state that were published and not stored."""
        end = await self._records.end(home.number)
        begin = end if home.records is None else home.records
        if begin > end:  # the topic was made anew
            begin = 0
        home.published = 0
        if begin < end:
            recovery = await self._recover(home, begin)
            await self._complete(home, recovery.unsettled(home.epoch))
            log.info("state.caught_up", home=home.number, records=recovery.records)
        home.records = end + home.published
        await self._store.restore(home, ())
        home.published, home.ahead = 0, False

    async def _rebuild(self, home: HomeState, topic: str, source: Log) -> HomeState:
        """Fill the empty state from the records of this generation, or from those of another one."""
        end = await self._records.end(home.number)
        recovery = await self._recover(home)
        if recovery.epoch >= home.epoch:  # its records would count as older than those that are there
            home = await self._store.claim(home.number, topic, source, seen_epoch=recovery.epoch)
        await self._complete(home, recovery.incomplete)
        home.records = end
        offsets, records = recovery.offsets, recovery.records
        del recovery  # it remembers 850 bytes a product, and a backfill may follow
        if self._backfill is not None and not any(
            proven.offset for proven in offsets.values()
        ):  # nothing proves that it was whole
            offsets = await self._backfill.run(home)
        await self._store.adopt(home, offsets)
        if records:
            metrics.rebuilds.inc()
            log.warning("state.rebuilt", home=home.number, records=records, offsets=offsets)
        return home

    async def _recover(self, home: HomeState, begin: int = 0) -> StateRecovery:
        """Store what the index records of this generation say, from an offset on; returns what they prove."""
        recovery = StateRecovery()
        waiting: list[AnyRecord] = []
        async for published in self._records.scan(home.number, begin):
            waiting.append(recovery.take(published))
            if len(waiting) >= RESTORE_AT_ONCE:
                await self._restore(home, recovery, waiting)
                waiting.clear()
        await self._restore(home, recovery, waiting)
        return recovery

    async def _restore(self, home: HomeState, recovery: StateRecovery, records: Sequence[AnyRecord]) -> None:
        ids = list({record.product_id for record in records})
        products = await self._store.read(home, ids, vectors=True)
        for record in records:
            products[record.product_id] = recovery.join(record, products.get(record.product_id))
        writes = [Write(product_id, product, embedded=True) for product_id, product in products.items()]
        await self._store.restore(home, writes)

    async def _complete(self, home: HomeState, products: Mapping[str, Last]) -> None:
        """Publish products anew, with all that is known of them."""
        incomplete = list(products.items())
        for first in range(0, len(incomplete), AT_ONCE):
            portion = dict(incomplete[first : first + AT_ONCE])
            stored = await self._store.read(home, list(portion), vectors=True)
            items = [
                plan(
                    Touched(
                        product_id,
                        product.document,
                        replace(product, whole=None),
                        *portion[product_id].origin,
                    ),
                    self._writer.recipe,
                )
                for product_id, product in stored.items()
                if product.document.base >= 0  # of patches alone nothing is published
            ]
            await self._store.restore(home, await self._writer.send(home, items, replayed=True))
