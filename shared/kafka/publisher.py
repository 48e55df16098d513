"""The durable publisher: idempotent, acknowledged by all, in order a partition."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.topics import topic_spec
from shared.errors import FatalError, PoisonError, TransientError
from shared.kafka.client import wait_for_broker
from shared.kafka.connection import connection
from shared.kafka.partitioning import partition_of
from shared.kafka.refusals import CLOCK, is_fault, pause_of, unacknowledged
from shared.pauses import pauses
from shared.records import Outgoing, Partition
from shared.settings import Settings

MAX_REQUEST_BYTES = 4 * 1024 * 1024
PORTION_BYTES = 512 * 1024
SLOW = timedelta(seconds=10)
"""So long an acknowledgement may take before it is said to be missing."""


UNSAID = -1
"""An offset that a broker did not say: it had the messages already, and forgot where."""


class _Sent(NamedTuple):
    """Messages on their way, and how many."""

    future: "asyncio.Future[Any]"
    messages: int


class KafkaPublisher:
    """The `Publisher` on a real broker: idempotent, acks=all, in order a partition.

    When a message fails, no later one of its partition is written: whoever counts on the order (the
    outbox) writes both again. So one call is on its way at a time, in portions of one batch a
    partition, which the broker takes or refuses whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._started = False
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect, waiting for the broker as long as it takes."""
        await wait_for_broker(self._settings)
        self._producer = await self._connected()
        self._started = True

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **connection(self._settings),
            enable_idempotence=True,
            acks="all",
            linger_ms=1,
            compression_type="lz4",
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=2 * PORTION_BYTES,
        )
        try:
            await producer.start()
        except BaseException as error:
            await producer.stop()
            if isinstance(error, KafkaError | OSError):
                raise pause_of(error, self._settings.kafka, "connect as a producer") from error
            raise
        return producer

    async def stop(self) -> None:
        """Flush and disconnect."""
        self._started = False
        await self._let_go()

    async def abandon(self) -> None:
        """Disconnect, whatever is not acknowledged yet; the next call begins with a new producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._closed = True  # noqa: SLF001 no seam: `stop` waits for the broker, perhaps for ever
            # A sender that is cancelled awaits what is on its way; without connections that fails at once.
            sender = producer._sender.sender_task  # noqa: SLF001 as above
            sender.cancel()
            await producer.client.close()
            await asyncio.wait([sender], timeout=SLOW.total_seconds())

    async def _let_go(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Write in order; returns when all are acknowledged (see `shared.ports.Publisher`)."""
        await self.write(messages)

    async def write(self, messages: Sequence[Outgoing]) -> dict[Partition, int]:
        """Publish, and return the offset behind what was written to each partition (or `UNSAID`)."""
        if not self._started:
            raise FatalError("publish() before start()")
        ends: dict[Partition, int] = {}
        async with self._turn:
            for portion in _portions(messages):
                await self._publish(portion, ends)
        return ends

    async def _publish(self, portion: Sequence[Outgoing], ends: dict[Partition, int]) -> None:
        if self._producer is None:
            self._producer = await self._connected()
        producer = self._producer
        try:
            sent = [one async for one in self._sent(producer, portion)]
            await self._acknowledged([one.future for one in sent])
            for future, count in sent:
                self._note(future.result(), count, ends)
        except (MessageSizeTooLargeError, InvalidTimestampError) as error:
            await self._let_go()  # as below
            await self._separate(portion, error, ends)
        except KafkaError as error:
            if is_fault(error):
                raise FatalError(f"the broker refused a message: {error!r}") from error
            if not (getattr(error, "retriable", False) or isinstance(error, KafkaTimeoutError)):
                # What failed has used up its sequence number, and some errors end the producer's sender:
                # the next call begins with a new one.
                await self._let_go()
            raise pause_of(error, self._settings.kafka, "publish") from error

    def _note(self, metadata: Any, count: int, ends: dict[Partition, int]) -> None:  # Any: aiokafka's own
        at = Partition(metadata.topic.removeprefix(self._settings.topic_prefix), metadata.partition)
        known = metadata.offset >= 0 and ends.get(at, 0) != UNSAID
        ends[at] = max(ends.get(at, 0), metadata.offset + count) if known else UNSAID

    async def _separate(
        self, portion: Sequence[Outgoing], error: KafkaError, ends: dict[Partition, int]
    ) -> None:
        """Write the messages of a portion that is refused for one of them one by one; of one, say so."""
        if len(portion) == 1:
            [message] = portion
            if isinstance(error, InvalidTimestampError) and message.timestamp is None:
                raise CLOCK.pause(
                    f"the broker at {self._settings.kafka} {CLOCK.what}, for {message.topic}"
                ) from error
            reason = "too_large" if isinstance(error, MessageSizeTooLargeError) else "time_refused"
            raise PoisonError(
                f"output.{reason}",
                f"what is to be written has {weight(message):,} bytes and time {message.timestamp or 'now'}, "
                f"which {message.topic} does not take as it is configured: {error}",
            ) from error
        for message in portion:
            await self._publish([message], ends)

    async def _acknowledged(self, futures: Sequence["asyncio.Future[Any]"]) -> None:
        """Return when all are; an idempotent producer asks again without end, which is said meanwhile."""
        try:
            while [future for future in futures if not future.done()]:
                _, waiting = await asyncio.wait(futures, timeout=SLOW.total_seconds())
                if waiting:
                    pauses.begin(self, "publisher", unacknowledged(self._settings.kafka, len(waiting)))
        finally:
            pauses.end(self)
        for future in futures:
            future.result()

    async def _sent(self, producer: AIOKafkaProducer, portion: Sequence[Outgoing]) -> AsyncIterator[_Sent]:
        """Send a portion; a future each batch of a partition, and each message that belongs to none.

        A future a message would cost more than all else that is done for it.
        """
        waiting: dict[tuple[str, int], list[Outgoing]] = {}
        for message in portion:
            partition = self._partition(message)
            if partition is not None:
                waiting.setdefault((message.topic, partition), []).append(message)
                continue
            async for sent in self._sent_in_batches(producer, waiting):  # it may be of one of those
                yield sent
            waiting.clear()
            yield _Sent(await self._send(producer, message), 1)
        async for sent in self._sent_in_batches(producer, waiting):
            yield sent

    async def _sent_in_batches(
        self, producer: AIOKafkaProducer, waiting: Mapping[tuple[str, int], Sequence[Outgoing]]
    ) -> AsyncIterator[_Sent]:
        for (topic, partition), messages in waiting.items():
            name = self._settings.topic_prefix + topic
            await self._check_partition(producer, name, partition)
            for batch in _batches(producer, messages):
                count = batch.record_count()
                yield _Sent(await producer.send_batch(batch, name, partition=partition), count)

    async def _check_partition(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        if partition not in await producer.partitions_for(topic):
            await producer.client.force_metadata_update()  # somebody may have added it a moment ago
            if partition not in await producer.partitions_for(topic):
                raise TransientError(f"{topic} has no partition {partition}: headrace topics apply")

    async def _send(self, producer: AIOKafkaProducer, message: Outgoing) -> "asyncio.Future[Any]":
        """Send a message whose partition the producer chooses."""
        return await producer.send(  # type: ignore[no-any-return]  # aiokafka is untyped here
            self._settings.topic_prefix + message.topic,
            message.value,
            key=message.key,
            timestamp_ms=_moment(message),
            headers=list(message.headers),
        )

    def _partition(self, message: Outgoing) -> int | None:
        """Return where a message belongs: in a topic of ours a key stays, whatever the broker counts.

        None: where the producer's own rule puts it.
        """
        if message.key is None and message.value is None:  # `send` refuses it, though Kafka has such messages
            return message.partition or 0
        spec = topic_spec(message.topic)
        if message.partition is not None or message.key is None or spec is None or spec.external:
            return message.partition
        return partition_of(message.key, spec.partitions or self._settings.partitions)


async def publish_once(settings: Settings, messages: Sequence[Outgoing]) -> None:
    """Connect, write in order and disconnect; returns when all are acknowledged."""
    publisher = KafkaPublisher(settings)
    try:
        await publisher.start()
        await publisher.publish(messages)
    finally:
        await publisher.stop()


def _batches(producer: AIOKafkaProducer, messages: Sequence[Outgoing]) -> Iterator[BatchBuilder]:
    """Yield the messages of one partition in batches, in order; a portion of them is nearly always one.

    Raises `MessageSizeTooLargeError` for one that no request takes.
    """
    batch = producer.create_batch()
    for message in messages:
        if weight(message) > MAX_REQUEST_BYTES:
            raise MessageSizeTooLargeError(f"{weight(message):,} bytes")
        if not _appended(batch, message):
            yield batch
            batch = producer.create_batch()
            _appended(batch, message)
    yield batch


def _appended(batch: BatchBuilder, message: Outgoing) -> bool:
    """Whether there was room in the batch; there always is for the first message."""
    taken = batch.append(
        timestamp=_moment(message), key=message.key, value=message.value, headers=list(message.headers)
    )
    return taken is not None


def _moment(message: Outgoing) -> int | None:
    return int(message.timestamp.timestamp() * 1000) if message.timestamp else None


def _portions(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Split into runs that fit one producer batch, in order."""
    portion: list[Outgoing] = []
    size = 0
    for message in messages:
        added = weight(message)
        if portion and size + added > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(message)
        size += added
    if portion:
        yield portion


def weight(message: Outgoing) -> int:
    """Return about how many bytes a message has in a batch that is not compressed; never too few."""
    size = len(message.key or b"") + len(message.value or b"") + 70
    for name, value in message.headers:
        size += len(name) + len(value or b"") + 10
    return size
