"""aiokafka's consumer in our words: partitions without the prefix, plain records, our errors.

Every reader reads through it: the partition loop, the followers of small topics, and those that read a
topic to its end. It belongs to no group, and commits nothing.

A partition ends, for all of them, where everything before is committed (Kafka's last stable offset): behind
it lies at least one transaction that is still open. Not every offset is a record: the ends of transactions,
what was aborted and what compaction removed are passed over, and `position` with them.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from typing import Any, Literal

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.clock import SystemClock
from shared.errors import TransientError
from shared.kafka import fetcher
from shared.kafka.client import as_records
from shared.kafka.connection import connection
from shared.kafka.refusals import pause_of
from shared.records import Partition, Record
from shared.settings import Settings

Edges = tuple[int, int]
"""The first offset of a partition, and the one behind all that is committed."""
log = structlog.get_logger()


REQUEST_MILLISECONDS = 40_000
"""aiokafka's own longest wait for an answer."""


class OffsetGoneError(TransientError):
    """The log has no longer, or not yet, what a consumer without a reset would read next."""


class RecordConsumer:
    """One consumer; whatever asks the broker raises `TransientError` when that fails.

    `reset` is what happens at an offset that the log does not have: reading goes on at the earliest one
    there is, or `read` raises `OffsetGoneError`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reset: Literal["earliest", "none"] = "earliest",
        **options: Any,  # Any: aiokafka's own
    ) -> None:
        if settings.kafka_embedded:
            fetcher.pause_after_empty_answers()
        self._address = settings.kafka
        self._prefix = settings.topic_prefix
        self._consumer = AIOKafkaConsumer(
            **connection(settings), enable_auto_commit=False, auto_offset_reset=reset, **options
        )

    async def start(self) -> None:
        """Connect; when that fails there is nothing left to stop."""
        try:
            with self._failing("connect"):
                await self._consumer.start()
                await asyncio.sleep(0)  # stopping it before its own tasks have begun is a CancelledError
        except BaseException:  # also when whoever connects has stopped waiting
            await self._consumer.stop()
            raise

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    def assign(self, partitions: Collection[Partition]) -> None:
        """Read these from now on, and no others."""
        self._consumer.assign([self._at(partition) for partition in partitions])

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on there."""
        self._consumer.seek(self._at(partition), offset)

    async def position(self, partition: Partition) -> int:
        """Return the offset that is read next."""
        with self._failing(f"read {partition}"):
            return int(await self._consumer.position(self._at(partition)))

    def end(self, partition: Partition) -> int:
        """Return where the partition ended at the last read; 0 when that is not known yet."""
        stable = self._consumer.last_stable_offset(self._at(partition))
        return self._written(partition) if stable is None or stable < 0 else int(stable)

    def uncommitted(self, partition: Partition) -> int:
        """Return how many offsets lay behind that end at the last read, held up by an open transaction."""
        return self._written(partition) - self.end(partition)

    def _written(self, partition: Partition) -> int:
        return self._consumer.highwater(self._at(partition)) or 0

    async def edges(self, partitions: Collection[Partition]) -> dict[Partition, Edges]:
        """Return where each partition begins and ends now."""
        begins = await self._ask(self._consumer.beginning_offsets, partitions)
        ends = await self._ask(self._consumer.end_offsets, partitions)
        return {partition: (begins[partition], ends[partition]) for partition in partitions}

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Return where each partition ends now."""
        return await self._ask(self._consumer.end_offsets, partitions)

    async def offset_at(self, partition: Partition, moment: int) -> int | None:
        """Return the first offset appended then (milliseconds since 1970) or later; None: nothing was."""
        at = self._at(partition)
        with self._failing("ask for offsets"):
            offsets = await self._consumer.offsets_for_times({at: moment})
        return None if offsets[at] is None else int(offsets[at].offset)

    async def written(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Return the next offset that will be written to each, whether what is before is committed or not."""
        uncommitted = copy(self._consumer._fetcher)  # noqa: SLF001 no seam: how it asks is decided once
        uncommitted._isolation_level = READ_UNCOMMITTED  # noqa: SLF001 as above

        async def ask(raw: Collection[TopicPartition]) -> dict[TopicPartition, int]:
            return await uncommitted.end_offsets(raw, REQUEST_MILLISECONDS)  # type: ignore[no-any-return]  # aiokafka is untyped

        return await self._ask(ask, partitions)

    async def read(self, *partitions: Partition, wait: timedelta, most: int | None = None) -> list[Record]:
        """Return what comes next of the partitions (none named: of all assigned), waiting so long for it.

        In order a partition; some may be damaged (`Record.damage`). Raises `OffsetGoneError`, see above.
        """
        milliseconds = int(wait / timedelta(milliseconds=1))
        raw = [self._at(partition) for partition in partitions]
        try:
            with self._failing("read"):
                batches = await self._consumer.getmany(*raw, timeout_ms=milliseconds, max_records=most)
        except NoOffsetForPartitionError:  # of before the first seek: there is no group with an offset
            return []
        except OffsetOutOfRangeError as error:
            raise OffsetGoneError(f"the broker at {self._address} has no such offset: {error!r}") from error
        now = SystemClock().now()
        return [record for raws in batches.values() for record in as_records(raws, self._prefix, now=now)]

    async def _ask(self, question: Any, partitions: Collection[Partition]) -> dict[Partition, int]:
        partition_of = {self._at(partition): partition for partition in partitions}
        if not partition_of:
            return {}
        with self._failing("ask for offsets"):
            offsets = await question(list(partition_of))
        return {partition_of[at]: offset for at, offset in offsets.items()}

    def _at(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._prefix + partition.topic, partition.number)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            raise
        except (KafkaError, OSError) as error:
            raise pause_of(error, self._address, what) from error


def intact(records: Iterable[Record], *, but_of: Collection[str] = ()) -> Iterator[Record]:
    """Yield those that can be used, and log the others; of the topics `but_of` those too."""
    for record in records:
        if record.damage is None or record.partition.topic in but_of:
            yield record
        else:
            log.warning(
                "record.skipped",
                partition=str(record.partition),
                offset=record.offset,
                reason=record.damage.reason,
                explanation=record.damage.explanation,
            )
