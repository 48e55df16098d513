"""One partition, read in order: resume from the state, decode, deliver, retry, dead-letter.

Handled, or dead-lettered with the reason, or the process stops. The task never runs ahead of its
handler, so the partition is paused while a batch is being handled or retried.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

import stamina
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared import metrics
from shared.adapters.kafka import as_record
from shared.dead_letters import DeadLetters
from shared.errors import FatalError, PoisonError, TransientError
from shared.ports import AlertSink, Clock, PartitionHandler
from shared.records import Applied, Batch, Partition, Record
from shared.resume import resume

M = TypeVar("M")
T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """A batch ends at any of these; `poll` is how long an idle reader waits before it looks up."""

    messages: int = 500
    size: int = 4 * 1024 * 1024
    poll: timedelta = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[M]):
    """What every partition of one loop shares."""

    handler: PartitionHandler[M]
    dead_letters: DeadLetters
    alerts: AlertSink
    clock: Clock
    worker: str
    prefix: str
    limits: BatchLimits


class PartitionReader(Generic[M]):
    """Drives the handler over one partition until it is cancelled or something fatal happens."""

    def __init__(self, partition: Partition, consumer: AIOKafkaConsumer, context: Context[M]) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self._at = TopicPartition(context.prefix + partition.topic, partition.number)
        self._consumer = consumer
        self._context = context
        self._labels = (context.worker, partition.topic, str(partition.number))
        self._interruptible = True
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin reading in the background; `on_failure` hears of what stops it."""
        self._task = asyncio.create_task(self._run(), name=f"read {self.partition}")

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not (self._stopping and isinstance(error, TransientError)):
                on_failure(error)

        self._task.add_done_callback(ended)

    async def stop(self, drain: timedelta) -> None:
        """Let the batch in hand finish within `drain`, then let go of the partition."""
        self._stopping = True
        if self._task is None:
            return
        if self._interruptible:
            self._task.cancel()
        _, pending = await asyncio.wait([self._task], timeout=drain.total_seconds())
        if pending:
            log.warning("drain.cut", partition=str(self.partition), next_offset=self.next_offset)
            self._task.cancel()
            await asyncio.wait([self._task])
        for gauge in (metrics.lag, metrics.applied_offset):
            gauge.remove(*self._labels)  # whoever reads it next says how far it is
        await self._context.handler.revoked(self.partition)

    async def _run(self) -> None:
        self.next_offset = await self._begin()
        while not self._stopping:
            for chunk in self._chunks(await self._poll()):
                await self._insist(chunk)
                if self._stopping:
                    return

    async def _begin(self) -> int:
        """Take the state over and seek to its offset."""
        stored = await self._patiently(lambda: self._context.handler.assigned(self.partition))
        return await self._seek(stored)

    async def _seek(self, stored: int | None) -> int:
        beginning, end = await self._patiently(self._edges)
        offset, hole = resume(self.partition, stored=stored, beginning=beginning, end=end)
        if hole is not None:
            log.error("offsets.hole", partition=str(self.partition), start=hole.start, end=hole.end)
            metrics.holes.labels(*self._labels).inc(max(0, hole.end - hole.start))
            alert = hole.alert(self._context.clock.now(), worker=self._context.worker)
            await self._patiently(lambda: self._context.alerts.raise_alert(alert))
            await self._deliver((), offset)  # the state moves too, so that the hole is said once
        self._consumer.seek(self._at, offset)
        self._measure(offset, end)
        log.info("partition.started", partition=str(self.partition), offset=offset, end=end)
        return offset

    async def _edges(self) -> tuple[int, int]:
        """Return the first and the next offset of the log."""
        try:
            beginning = await self._consumer.beginning_offsets([self._at])
            end = await self._consumer.end_offsets([self._at])
        except KafkaError as error:
            raise TransientError(f"the log's offsets cannot be read: {error!r}") from error
        return beginning[self._at], end[self._at]

    async def _poll(self) -> Sequence[ConsumerRecord]:
        self._interruptible = True
        wait = int(self._context.limits.poll / timedelta(milliseconds=1))
        try:
            read = await self._consumer.getmany(
                self._at, timeout_ms=wait, max_records=self._context.limits.messages
            )
        except NoOffsetForPartitionError:  # of before our seek: the group has committed nothing yet
            return ()
        except OffsetOutOfRangeError:
            self.next_offset = await self._seek(self.next_offset)
            return ()
        finally:
            self._interruptible = False
        return list(read.get(self._at, ()))

    def _chunks(self, read: Sequence[ConsumerRecord]) -> Iterator[list[Record]]:
        """Split what was read into batches within the size limit."""
        chunk: list[Record] = []
        size = 0
        for raw in read:
            chunk.append(as_record(raw, self._context.prefix))
            size += len(raw.value or b"") + len(raw.key or b"")
            if size >= self._context.limits.size:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    async def _insist(self, records: Sequence[Record]) -> None:
        """Deliver the batch, again and again while the trouble is transient."""
        metrics.consumed.labels(*self._labels).inc(len(records))
        metrics.batch_size.labels(self.partition.topic).observe(len(records))
        decoded = [pair for record in records if (pair := await self._decode(record)) is not None]
        with metrics.handle_seconds.labels(self.partition.topic).time():
            await self._deliver(decoded, records[-1].offset + 1)
        highwater = self._consumer.highwater(self._at) or 0
        self._measure(records[-1].offset + 1, highwater)

    async def _decode(self, record: Record) -> tuple[Record, M] | None:
        try:
            return record, self._context.handler.decode(record)
        except PoisonError as error:
            await self._dead_letter(record, error)
            return None

    async def _deliver(self, messages: Sequence[tuple[Record, M]], next_offset: int) -> None:
        """Have the batch made durable; find a poisonous message by going one by one."""
        batch = Batch(messages, next_offset)
        try:
            done = await self._patiently(lambda: self._context.handler.handle(self.partition, batch))
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
        if done.applied + done.no_op != delivered:
            raise FatalError(
                f"{self.partition}: {delivered} messages handled as {done}: some are unaccounted for"
            )
        metrics.applied.labels(*self._labels).inc(done.applied)
        metrics.no_op.labels(*self._labels).inc(done.no_op)

    async def _dead_letter(self, record: Record, error: PoisonError) -> None:
        await self._patiently(lambda: self._context.dead_letters.write(record, error))
        metrics.dead_lettered.labels(*self._labels, error.reason).inc()
        log.warning(
            "message.dead_lettered", partition=str(self.partition), offset=record.offset, reason=error.reason
        )

    def _measure(self, offset: int, end: int) -> None:
        metrics.applied_offset.labels(*self._labels).set(offset)
        metrics.lag.labels(*self._labels).set(max(0, end - offset))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await `attempt()`, retrying transient errors with back-off for as long as it takes."""
        async for trial in stamina.retry_context(
            on=self._worth_another, attempts=None, timeout=None, wait_max=10.0
        ):
            with trial:
                return await attempt()
        raise AssertionError("a retry without end has ended")

    def _worth_another(self, error: Exception) -> bool:
        if not isinstance(error, TransientError) or self._stopping:
            return False
        metrics.retries.labels(*self._labels).inc()
        return True
