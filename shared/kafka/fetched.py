"""What a fetch brought, as aiokafka's fetcher hands it on: each record by itself, and never too much.

Three classes take the place of three of aiokafka's (`shared.kafka.fetcher` puts them there). Batches that
are well and of a usual size go through aiokafka's own compiled reader, which is twenty times as quick; ours
reads on where that gives up.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import ConsumerRecord, TopicPartition

from shared.kafka.batch_records import RawRecord, records, rest, uncompressed
from shared.kafka.batches import NEWEST_MAGIC, RecordBatch, split
from shared.records import Damage

READ_BYTES = 16 * 1024 * 1024
"""One read hands on no more than that, and the record that exceeds it."""
ATTEMPTS = 3
"""A batch whose checksum is wrong is asked for so often: it may have been broken on its way."""
MARKER_BYTES = 4
GIVEN_UP = (ValueError, LookupError, ArithmeticError, AssertionError, KafkaError)
"""What aiokafka's reader raises at bytes that it does not understand."""

_attempts: Counter[tuple[TopicPartition, int]] = Counter()
"""How often each broken batch was fetched."""


@dataclass
class DamagedRecord(ConsumerRecord):  # type: ignore[misc]  # aiokafka is untyped
    """A record that is not as it was written; it is not to be used, only to be reported."""

    damage: Damage


class FetchedBatches:
    """The batches of one partition in an answer, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, content: bytes | None) -> None:
        self.content = bytes(content or b"")

    def has_next(self) -> bool:
        """Whether there are any; one that is not whole is one, and will be reported."""
        return bool(self.content)

    def size_in_bytes(self) -> int:
        """Return how long they are."""
        return len(self.content)


class SeparateRecords(PartitionRecords):  # type: ignore[misc]  # as above
    """The records of one partition in an answer, in place of aiokafka's `PartitionRecords`.

    `next_fetch_offset` moves over what is no record for us: the broker's own, and what was aborted.
    """

    _tp: TopicPartition
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        batches = list(split(self._records.content))
        for batch, following in zip_longest(batches, batches[1:]):
            intact = batch.intact
            end = _end(batch, following, intact=intact)
            yield from self._new(self._read(batch) if intact else self._broken(batch, end))
            self.next_fetch_offset = max(self.next_fetch_offset, end)

    def _new(self, records_of_batch: Iterator[RawRecord]) -> Iterator[ConsumerRecord]:
        """Hand on those that were not yet: of a batch in which reading begins, the last."""
        for record in records_of_batch:
            if record.offset >= self.next_fetch_offset:
                self.next_fetch_offset = record.offset + 1
                consumed = self._consumer_record(self._tp, record)
                damage = getattr(record, "damage", None)  # aiokafka's own have none
                yield DamagedRecord(**vars(consumed), damage=damage) if damage else consumed

    def _read(self, batch: RecordBatch) -> Iterator[RawRecord]:
        if self._nobodys(batch):
            return
        try:
            if batch.magic == NEWEST_MAGIC and (content := uncompressed(batch)) is not None:
                for record in DefaultRecordBatch(content):
                    if not batch.base_offset <= record.offset < batch.next_offset:
                        break
                    yield record
                else:
                    return
        except GIVEN_UP:
            pass  # those that were handed on before are not again
        yield from records(batch, first=max(batch.base_offset, self.next_fetch_offset))

    def _broken(self, batch: RecordBatch, end: int) -> Iterator[RawRecord]:
        """Yield what stands for a batch with a wrong checksum, once it came several times."""
        place = self._tp, batch.base_offset
        _attempts[place] += 1
        if _attempts[place] < ATTEMPTS:
            raise CorruptRecordException(f"the checksum of {self._tp} @ {batch.base_offset} is wrong")
        del _attempts[place]
        first = max(batch.base_offset, self.next_fetch_offset)
        yield rest(replace(batch, next_offset=end), first, "its checksum is wrong")

    def _nobodys(self, batch: RecordBatch) -> bool:
        """Whether the batch is the end of a transaction, or of one that was aborted."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and _aborts(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return batch.is_control_batch


class BoundedFetchResult(FetchResult):  # type: ignore[misc]  # as above
    """What is left of an answer, handed out in portions, in place of aiokafka's `FetchResult`."""

    _partition_records: Iterator[ConsumerRecord] | None

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord]:
        """Return the next records: `max_records`, or as many as are not too much at once."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        portion: list[ConsumerRecord] = []
        size = 0
        try:
            for record in self._partition_records or ():
                portion.append(record)
                size += _size(record)
                if size >= READ_BYTES or len(portion) == max_records:
                    self._update_position()
                    return portion
        except CorruptRecordException:
            if not portion:
                raise
        self._update_position()
        self._partition_records = None
        return portion


def _end(batch: RecordBatch, following: RecordBatch | None, *, intact: bool) -> int:
    """Return the offset behind a batch; of a broken one nothing that its header says is trusted alone."""
    end = batch.next_offset
    if not intact and (following is not None or end - batch.base_offset != batch.count):
        end = following.base_offset if following else 0
    return max(end, batch.base_offset + 1)


def _aborts(batch: RecordBatch) -> bool:
    marker = next(records(batch, first=batch.base_offset), None)
    key = marker.key if marker else None
    return key is not None and len(key) >= MARKER_BYTES and ControlRecord.parse(key) == ABORT_MARKER


def _size(record: ConsumerRecord) -> int:
    size = int(max(0, record.serialized_key_size) + max(0, record.serialized_value_size))
    return size + sum([len(name) + len(value or b"") for name, value in record.headers])
