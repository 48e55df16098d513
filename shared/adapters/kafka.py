"""Kafka through aiokafka: connection settings, waiting for a broker, and the durable publisher."""

import asyncio
import ssl
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from shared.errors import FatalError, TransientError
from shared.records import Outgoing, Partition, Record
from shared.settings import Settings

log = structlog.get_logger()

WAIT_SECONDS = 3.0
MAX_REQUEST_BYTES = 4 * 1024 * 1024
PORTION_BYTES = 512 * 1024
LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, beyond which no calendar goes; a producer may claim any 64 bits."""


def connection(settings: Settings) -> dict[str, Any]:  # Any: aiokafka's keyword arguments
    """Return the keyword arguments with which every aiokafka client reaches the broker."""
    security = settings.kafka_security
    arguments: dict[str, Any] = {"bootstrap_servers": settings.kafka}  # Any: as above
    if security.tls:
        context = ssl.create_default_context(cafile=security.ca_file)
        if security.certificate_file:
            context.load_cert_chain(security.certificate_file, security.key_file)
        arguments |= {"security_protocol": "SSL", "ssl_context": context}
    if security.sasl_mechanism:
        arguments |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": security.sasl_mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value(),
        }
    return arguments


def as_record(raw: ConsumerRecord, prefix: str) -> Record:
    """Return what was read as a plain value: the topic without `prefix`, whatever timestamp was claimed."""
    milliseconds = min(max(0, raw.timestamp), LAST_MILLISECOND)
    return Record(
        partition=Partition(raw.topic.removeprefix(prefix), raw.partition),
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        timestamp=datetime.fromtimestamp(milliseconds / 1000, UTC),
        headers=tuple((name, value if value is not None else b"") for name, value in raw.headers),
    )


async def wait_for_broker(settings: Settings, topics: Iterable[str] = ()) -> dict[str, int]:
    """Return the partitions of each of `topics` once the broker answers and has them all.

    Until then, one log line every few seconds.
    """
    wanted = list(topics)
    while True:
        counts = await partition_counts(settings, wanted)
        if counts is None:
            log.warning("broker.waiting", address=settings.kafka)
        elif missing := [topic for topic in wanted if not counts[topic]]:
            log.warning("topics.waiting", missing=missing, fix="headrace topics apply")
        else:
            return counts
        await asyncio.sleep(WAIT_SECONDS)


async def partition_counts(settings: Settings, topics: Iterable[str]) -> dict[str, int] | None:
    """Return how many partitions each topic has (0: it does not exist yet); None: nobody answers."""
    client = AIOKafkaClient(**connection(settings))
    try:
        await client.bootstrap()
        metadata = await client.fetch_all_metadata()
    except (KafkaError, OSError):
        return None
    finally:
        await client.close()
    prefix = settings.topic_prefix
    return {topic: len(metadata.partitions_for_topic(prefix + topic) or ()) for topic in topics}


class KafkaPublisher:
    """The `Publisher` on a real broker: idempotent, acks=all, in order a partition.

    When a message fails, no later one of its partition is written: whoever counts on the order (the
    outbox) writes both again. So one call is on its way at a time, in portions of one batch a
    partition, which the broker takes or refuses whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect, waiting for the broker as long as it takes."""
        await wait_for_broker(self._settings)
        self._producer = AIOKafkaProducer(
            **connection(self._settings),
            enable_idempotence=True,
            acks="all",
            linger_ms=1,
            compression_type="lz4",
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=2 * PORTION_BYTES,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Write in order; returns when all are acknowledged (see `shared.ports.Publisher`)."""
        if self._producer is None:
            raise FatalError("publish() before start()")
        async with self._turn:
            for portion in _portions(messages):
                await self._publish(self._producer, portion)

    async def _publish(self, producer: AIOKafkaProducer, portion: Sequence[Outgoing]) -> None:
        try:
            futures = [await self._send(producer, message) for message in portion]
            if futures:
                await asyncio.wait(futures)
            for future in futures:
                future.result()
        except MessageSizeTooLargeError as error:
            raise FatalError(f"a message is too large for the broker: {error}") from error
        except KafkaError as error:
            if getattr(error, "retriable", False) or isinstance(error, KafkaTimeoutError):
                raise TransientError(f"not acknowledged: {error!r}") from error
            raise FatalError(f"the broker refused a message: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, message: Outgoing) -> "asyncio.Future[Any]":
        topic, headers = self._settings.topic_prefix + message.topic, list(message.headers)
        moment = int(message.timestamp.timestamp() * 1000) if message.timestamp else None
        if message.key is None and message.value is None:  # `send` refuses it, though Kafka has such messages
            batch = producer.create_batch()
            batch.append(timestamp=moment, key=None, value=None, headers=headers)
            return await producer.send_batch(batch, topic, partition=message.partition or 0)  # type: ignore[no-any-return]  # as below
        return await producer.send(  # type: ignore[no-any-return]  # aiokafka is untyped here
            topic,
            message.value,
            key=message.key,
            partition=message.partition,
            timestamp_ms=moment,
            headers=headers,
        )


def _portions(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Split into runs that fit one producer batch, in order."""
    portion: list[Outgoing] = []
    size = 0
    for message in messages:
        weight = _weight(message)
        if portion and size + weight > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(message)
        size += weight
    if portion:
        yield portion


def _weight(message: Outgoing) -> int:
    headers = sum(len(name) + len(value) + 10 for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers + 70
