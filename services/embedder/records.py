"""The topic of index records, read from its beginning: to rebuild the state, and to guard a generation."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from schemas.index import IndexRecord
from schemas.topics import index_records
from services.embedder.domain.recovery import BATCH_START
from shared.adapters.kafka import wait_for_broker
from shared.errors import ConfigurationError
from shared.records import Record
from shared.settings import Settings
from shared.topic_reader import TopicReader


class Published(NamedTuple):
    """An index record as it lies in the topic, and what its header says of its batch."""

    value: bytes
    batch_start: int | None
    offset: int = 0


class RecordLog(Protocol):
    """The index records of one generation."""

    def scan(self) -> AsyncIterator[Published]:
        """Yield all records that are there now, in log order within each partition.

        Raises `TransientError` when the broker is away.
        """
        ...


class KafkaRecordLog:
    """The `RecordLog` on a broker; of a topic that does not exist there are no records."""

    def __init__(self, settings: Settings, generation: str = "") -> None:
        self._settings = settings
        self._topic = index_records(generation or settings.generation).name

    async def scan(self) -> AsyncIterator[Published]:
        """Yield all records that are there now, in log order within each partition."""
        await wait_for_broker(self._settings)
        async with TopicReader(self._settings, [self._topic]) as reader:
            async for record in reader.news():
                if record.value is not None:
                    yield _published(record.value, record)

    async def check_fingerprint(self, fingerprint: str) -> None:
        """Raise `ConfigurationError` when the generation was written with another model."""
        await wait_for_broker(self._settings, [self._topic])
        async with TopicReader(self._settings, [self._topic]) as reader:
            async for record in reader.last():
                if record.value is not None:
                    _check(IndexRecord.decode(record.value), fingerprint, self._settings.generation)


def _published(value: bytes, record: Record) -> Published:
    start = record.header(BATCH_START)
    return Published(value, None if start is None else int(start), record.offset)


def _check(record: IndexRecord, fingerprint: str, generation: str) -> None:
    if record.fingerprint != fingerprint:
        raise ConfigurationError(
            f"generation {generation!r} was written with model {record.fingerprint}, configured is "
            f"{fingerprint}: set `generation` to a new name, or the model back"
        )
