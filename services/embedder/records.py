"""The topic of index records, read from its beginning: to rebuild the state, and to guard a generation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.index import IndexRecord
from schemas.topics import index_records
from services.embedder.domain.recovery import BATCH_START
from shared.adapters.kafka import connection, wait_for_broker
from shared.errors import ConfigurationError, TransientError
from shared.settings import Settings

LAST_RECORD_WAIT = 5.0


class Published(NamedTuple):
    """An index record as it lies in the topic, and what its header says of its batch."""

    value: bytes
    batch_start: int | None


class RecordLog(Protocol):
    """The index records of one generation."""

    def scan(self) -> AsyncIterator[Published]:
        """Yield all records that are there now, in log order within each partition.

        Raises `TransientError` when the broker is away.
        """
        ...


class KafkaRecordLog:
    """The `RecordLog` on a broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = index_records(settings.generation).name

    async def scan(self) -> AsyncIterator[Published]:
        """Yield all records that are there now, in log order within each partition."""
        async with self._consumer() as (consumer, ends):
            for at in ends:
                await consumer.seek_to_beginning(at)
            while await _remaining(consumer, ends):
                for records in (await consumer.getmany(timeout_ms=500, max_records=500)).values():
                    for record in records:
                        if record.value is not None and record.offset < ends[_of(record)]:
                            yield _published(record)

    async def check_fingerprint(self, fingerprint: str) -> None:
        """Raise `ConfigurationError` when the generation was written with another model."""
        async with self._consumer() as (consumer, ends):
            for at, end in ends.items():
                if end == 0:
                    continue
                consumer.seek(at, end - 1)
                read = await consumer.getmany(at, timeout_ms=int(LAST_RECORD_WAIT * 1000), max_records=1)
                for record in read.get(at, ()):
                    if record.value is not None:
                        _check(IndexRecord.decode(record.value), fingerprint, self._settings.generation)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
        counts = await wait_for_broker(self._settings, [self._topic])
        name = self._settings.topic_prefix + self._topic
        consumer = AIOKafkaConsumer(**connection(self._settings), auto_offset_reset="earliest")
        try:
            await consumer.start()
            assignment = [TopicPartition(name, number) for number in range(counts[self._topic])]
            consumer.assign(assignment)
            yield consumer, dict(await consumer.end_offsets(assignment))
        except (KafkaError, TimeoutError) as error:
            raise TransientError(f"{name} cannot be read: {error!r}") from error
        finally:
            await consumer.stop()


async def _remaining(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    for at, end in ends.items():
        if await consumer.position(at) < end:
            return True
    return False


def _of(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _published(record: ConsumerRecord) -> Published:
    start = dict(record.headers).get(BATCH_START)
    return Published(record.value, None if start is None else int(start))


def _check(record: IndexRecord, fingerprint: str, generation: str) -> None:
    if record.fingerprint != fingerprint:
        raise ConfigurationError(
            f"generation {generation!r} was written with model {record.fingerprint}, configured is "
            f"{fingerprint}: set `generation` to a new name, or the model back"
        )
