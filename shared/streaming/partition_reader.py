"""One partition, read in order: resume from the state, decode, deliver, retry, dead-letter.

Handled, or dead-lettered with the reason, or the process stops. The task never runs ahead of its
handler, so the partition is paused while a batch is being handled or retried.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

import stamina
import structlog

from schemas.topics import is_external
from shared import metrics
from shared.errors import (
    FatalError,
    LogReplacedError,
    PoisonError,
    RewindError,
    SkippedError,
    TransientError,
)
from shared.kafka.consumer import Edges, OffsetGoneError, RecordConsumer
from shared.pauses import pauses
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.schema_registry.deserializer import PASSING, BatchSchemas
from shared.streaming.chunks import chunks
from shared.streaming.context import Context
from shared.streaming.repartition import is_forwarded
from shared.streaming.resume import OffsetGap, ReplacedLog, producer_time, resume

M = TypeVar("M")
T = TypeVar("T")
log = structlog.get_logger()


class PartitionReader(Generic[M]):
    """Drives the handler over one partition until it is cancelled or something fatal happens."""

    def __init__(self, partition: Partition, consumer: RecordConsumer, context: Context[M]) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.log = UNKNOWN_LOG
        self._looked_from: int | None = None
        """Whose time a message is kept with is looked at once, at one that is written from now on."""
        self._consumer = consumer
        self._context = context
        self._labels = (context.worker, partition.topic, str(partition.number))
        self._interruptible = True
        self._stopping = False
        self._rewinding = ""
        """Why the handler is to be asked again where to read on; empty: it is not."""
        self._task: asyncio.Task[None] | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin reading in the background; `on_failure` hears of what stops it."""
        self._task = asyncio.create_task(self._run(), name=f"read {self.partition}")

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not (self._stopping and isinstance(error, TransientError)):
                on_failure(error)

        self._task.add_done_callback(ended)

    def rewind(self, reason: str) -> None:
        """Ask the handler again where to read on, after the batch in hand."""
        self._rewinding = reason

    def cease(self) -> None:
        """Read no further; the batch in hand goes on."""
        self._stopping = True
        if self._task is not None and self._interruptible:
            self._task.cancel()

    async def stop(self, drain: timedelta) -> None:
        """Let the batch in hand finish within `drain`, then let go of the partition."""
        self.cease()
        if self._task is None:
            return
        _, pending = await asyncio.wait([self._task], timeout=drain.total_seconds())
        if pending:
            log.warning("drain.cut", partition=str(self.partition), next_offset=self.next_offset)
            self._task.cancel()
            await asyncio.wait([self._task])
        for gauge in (metrics.lag, metrics.applied_offset):
            gauge.remove(*self._labels)  # whoever reads it next says how far it is
        pauses.end(self)
        await self._context.handler.revoked(self.partition)

    @property
    def uncommitted(self) -> int:
        """How many offsets cannot be read yet, as a transaction before them is still open."""
        return self._consumer.uncommitted(self.partition)

    async def _run(self) -> None:
        while not self._stopping:
            try:
                self.next_offset = await self._begin()
                await self._read_on()
            except RewindError as reason:
                log.warning("partition.rewound", partition=str(self.partition), reason=str(reason))

    async def _read_on(self) -> None:
        while not self._stopping:
            for chunk in chunks(await self._poll(), self._context.limits.size):
                await self._look_at_time(chunk[-1])
                await self._deliver_with_retry(chunk)
                if self._stopping:
                    return
                self._turn_back()
            await self._pass_over()
            self._turn_back()

    def _turn_back(self) -> None:
        if self._rewinding:
            raise RewindError(self._rewinding)

    async def _begin(self) -> int:
        """Take the state over and seek to its offset; of a topic that was made anew, to its beginning."""
        self._rewinding = ""
        self.log = Log(await self._retry(lambda: self._context.identity(self.partition.topic)))
        try:
            return await self._seek(await self._take_over())
        except LogReplacedError as error:
            _, end = await self._retry(self._edges)
            await self._say(ReplacedLog(self.partition, error.offset, end, self.log.identity))
            self.log = self.log._replace(replaces=error.identity)
            return await self._seek(await self._take_over())

    async def _take_over(self) -> int | None:
        return await self._retry(lambda: self._context.handler.assigned(self.partition, self.log))

    async def _say(self, condition: OffsetGap | ReplacedLog) -> None:
        alert = condition.alert(self._context.clock.now(), worker=self._context.worker)
        log.error("offsets.lost", partition=str(self.partition), summary=alert.summary)
        await self._retry(lambda: self._context.alerts.raise_alert(alert))

    async def _seek(self, stored: int | None) -> int:
        beginning, end = await self._retry(self._edges)
        known = bool(self.log.identity)
        offset, gap = resume(self.partition, stored=stored, beginning=beginning, end=end, known=known)
        if gap is not None:
            metrics.gaps.labels(*self._labels).inc(max(0, gap.end - gap.start))
            await self._say(gap)
            await self._deliver((), offset)  # the state moves too, so that the gap is reported once
        self._consumer.seek(self.partition, offset)
        self._looked_from = end if is_external(self.partition.topic) else None
        self._measure(offset, end)
        log.info("partition.started", partition=str(self.partition), offset=offset, end=end)
        return offset

    async def _edges(self) -> Edges:
        return (await self._consumer.edges([self.partition]))[self.partition]

    async def _poll(self) -> Sequence[Record]:
        self._interruptible = True
        limits = self._context.limits
        try:
            return await self._retry(
                lambda: self._consumer.read(self.partition, wait=limits.poll, most=limits.messages)
            )
        except OffsetGoneError:
            if not await self._left():
                self.next_offset = await self._seek(self.next_offset)
            return ()
        finally:
            self._interruptible = False

    async def _pass_over(self) -> None:
        """Let the state's offset follow over what is no record: ends of transactions, what was aborted."""
        position = await self._consumer.position(self.partition)
        if self.next_offset is not None and position > self.next_offset:
            await self._deliver((), position)
            self._measure(position, self._consumer.end(self.partition))

    async def _left(self) -> bool:
        """Have the loop let go of what seems to be another log than the one that was taken over."""
        identity = await self._retry(lambda: self._context.identity(self.partition.topic))
        _, end = await self._retry(self._edges)
        ends_early = not self.log.identity and self.next_offset is not None and self.next_offset > end
        if not (ends_early or self.log.identity not in {"", identity}):
            return False
        if left := self._context.leave(self.partition):
            await asyncio.sleep(self._context.limits.poll.total_seconds())
        return left

    async def _look_at_time(self, record: Record) -> None:
        """Say once when a topic that others write keeps their clocks' times."""
        if self._looked_from is None or record.offset < self._looked_from:
            return
        self._looked_from = None
        if not record.appended:
            alert = producer_time(self.partition.topic, self._context.clock.now())
            await self._retry(lambda: self._context.alerts.raise_alert(alert))

    async def _deliver_with_retry(self, records: Sequence[Record]) -> None:
        """Deliver the batch, again and again while the trouble is transient."""
        metrics.batch_size.labels(self.partition.topic).observe(len(records))
        schemas = await self._retry(lambda: self._context.deserializer.schemas_of(records))
        with metrics.stage("decode"):
            decoded = await self._decoded(records, schemas)
        with metrics.handle_seconds.labels(self.partition.topic).time():
            await self._deliver(decoded, records[-1].offset + 1)
        metrics.consumed.labels(*self._labels).inc(len(records))  # once, although a rewound one comes again
        self._measure(records[-1].offset + 1, self._consumer.end(self.partition))

    async def _decoded(self, records: Sequence[Record], schemas: BatchSchemas) -> list[tuple[Record, M]]:
        """Return the messages of a batch; what cannot be used, or is none, is done with, in its turn."""
        decoded = []
        for record in records:
            try:
                decoded.append((record, schemas.decode(record, self._message_of)))
            except (PoisonError, SkippedError) as error:
                await self._refuse(record, error)
        return decoded

    async def _refuse(self, record: Record, error: PoisonError | SkippedError) -> None:
        if self._is_for_router(error):
            metrics.forwarded.labels(*self._labels).inc()
        elif isinstance(error, PoisonError):
            await self._dead_letter(record, error)
        else:
            metrics.skipped.labels(*self._labels, error.kind).inc()

    def _is_for_router(self, error: PoisonError | SkippedError) -> bool:
        """Whether the router, which reads this message too, surely comes to the same end with it."""
        is_routed = self._context.routed and not is_forwarded(self.partition)
        return is_routed and (isinstance(error, SkippedError) or error.reason not in PASSING)

    def _message_of(self, record: Record) -> M:
        if record.damage is not None:
            raise PoisonError(record.damage.reason, record.damage.explanation)
        return self._context.handler.decode(record)

    async def _deliver(self, messages: Sequence[tuple[Record, M]], next_offset: int) -> None:
        """Have the batch made durable; find a poisonous message by going one by one."""
        batch = Batch(messages, next_offset)
        try:
            done = await self._retry(lambda: self._context.handler.handle(self.partition, batch))
        except PoisonError as error:
            await self._isolate(messages, error)
            if messages:
                await self._deliver((), next_offset)
            return
        self._account(done, len(messages))
        self.next_offset = next_offset

    async def _isolate(self, messages: Sequence[tuple[Record, M]], error: PoisonError) -> None:
        """Dead-letter the culprit, or go through the batch one by one to find it."""
        match messages:
            case []:
                raise FatalError(f"{self.partition}: the handler calls an empty batch poison") from error
            case [(record, _)]:
                await self._dead_letter(record, error)
            case _:
                for record, message in messages:
                    await self._deliver([(record, message)], record.offset + 1)

    def _account(self, done: Applied, delivered: int) -> None:
        if done.total != delivered:
            raise FatalError(
                f"{self.partition}: {delivered} messages handled as {done}: some are unaccounted for"
            )
        metrics.applied.labels(*self._labels).inc(done.applied)
        metrics.no_op.labels(*self._labels).inc(done.no_op)
        metrics.older.labels(*self._labels).inc(done.older)
        metrics.forwarded.labels(*self._labels).inc(done.forwarded)

    async def _dead_letter(self, record: Record, error: PoisonError) -> None:
        await self._retry(lambda: self._context.dead_letters.write(record, error))
        metrics.dead_lettered.labels(*self._labels, error.reason).inc()
        log.warning(
            "message.dead_lettered", partition=str(self.partition), offset=record.offset, reason=error.reason
        )

    def _measure(self, offset: int, end: int) -> None:
        metrics.applied_offset.labels(*self._labels).set(offset)
        metrics.lag.labels(*self._labels).set(max(0, end - offset))

    async def _retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await `attempt()`, retrying transient errors with back-off for as long as it takes."""
        async for trial in stamina.retry_context(
            on=self._worth_another, attempts=None, timeout=None, wait_max=10.0
        ):
            with trial:
                outcome = await attempt()
                pauses.end(self)
                return outcome
        raise AssertionError("a retry without end has ended")

    def _worth_another(self, error: Exception) -> bool:
        if not isinstance(error, TransientError) or isinstance(error, OffsetGoneError) or self._stopping:
            return False
        metrics.retries.labels(*self._labels).inc()
        pauses.begin(self, f"{self._context.worker} {self.partition}", error)
        return True
