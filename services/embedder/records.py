"""The topic of index records, read back: to rebuild the state or complete it, and to guard a generation."""

from collections.abc import AsyncIterator
from typing import Protocol

import structlog
from pydantic import ValidationError

from schemas.control import OffsetRange
from schemas.index import AnyRecord, read_record
from schemas.topics import index_records
from services.embedder.domain.recovery import APPLIED, Published
from shared.errors import ConfigurationError
from shared.kafka.client import wait_for_broker
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.settings import Settings

log = structlog.get_logger()


class RecordLog(Protocol):
    """The index records of one generation."""

    def scan(self, number: int, begin: int = 0) -> AsyncIterator[Published]:
        """Yield all records of a partition that are there now, in log order, from an offset on.

        Raises `TransientError` when the broker is away.
        """
        ...

    async def end(self, number: int) -> int:
        """Return the offset of the next record of a partition; raises `TransientError` as above."""
        ...


class KafkaRecordLog:
    """The `RecordLog` on a broker; of a topic that does not exist there are no records."""

    def __init__(self, settings: Settings, generation: str = "") -> None:
        self._settings = settings
        self._topic = index_records(generation or settings.generation).name

    async def scan(self, number: int, begin: int = 0) -> AsyncIterator[Published]:
        """Yield all records of a partition that are there now, in log order, from an offset on."""
        await wait_for_broker(self._settings)
        async with TopicReader(self._settings, [self._topic], number=number) as reader:
            ends = await reader.find_ends()
            ranges = [
                OffsetRange(topic=topic, partition=partition, start=begin, end=end)
                for (topic, partition), end in ends.items()
            ]
            async for record in reader.within(ranges):
                if record.value is not None and not _is_strange(record, record.value):
                    yield Published(record.value, record.header(APPLIED), record.offset)

    async def end(self, number: int) -> int:
        """Return the offset of the next record of a partition."""
        await wait_for_broker(self._settings)
        async with TopicReader(self._settings, [self._topic], number=number) as reader:
            return max((await reader.find_ends()).values(), default=0)

    async def check_fingerprint(self, fingerprint: str) -> None:
        """Raise `ConfigurationError` when the generation was written with another model."""
        await wait_for_broker(self._settings, [self._topic])
        async with TopicReader(self._settings, [self._topic]) as reader:
            async for record in reader.last(but_tombstones=True):
                if record.value is not None and not _is_strange(record, record.value):
                    _check(read_record(record.value), fingerprint, self._settings.generation)


def _is_strange(record: Record, value: bytes) -> bool:
    """Whether no embedder wrote it: it cannot be read, and says nothing of a batch.

    One that cannot be read and does is of a later version, and nobody may go on without it.
    """
    if record.header(APPLIED) is not None:
        return False
    try:
        read_record(value)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"])
        log.warning("record.strange", partition=str(record.partition), offset=record.offset, error=reason)
        return True
    return False


def _check(record: AnyRecord, fingerprint: str, generation: str) -> None:
    if record.fingerprint != fingerprint:
        raise ConfigurationError(
            f"generation {generation!r} was written with model {record.fingerprint}, configured is "
            f"{fingerprint}: set `generation` to a new name, or the model back"
        )
