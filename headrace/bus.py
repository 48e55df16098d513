"""The broker, as clients use it: connected when it is needed, and never waited for without end."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from headrace.errors import NotWrittenError
from schemas.catalogue import ProductChange
from schemas.search import SearchEvent
from shared.errors import TransientError
from shared.kafka.client import require_topics
from shared.kafka.offsets import BrokerLog
from shared.kafka.partitioning import partition_of
from shared.kafka.publisher import UNSAID, KafkaPublisher
from shared.patience import hurrying
from shared.records import Outgoing, Partition
from shared.settings import Settings

WRITTEN = (ProductChange.topic, SearchEvent.topic)
RETRY = timedelta(milliseconds=500)
ENDS_WITHIN = timedelta(seconds=5)

logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what it logs is raised, in words


class Bus:
    """Writes to the topics that users write, from one event loop; calls take turns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher: KafkaPublisher | None = None
        self._connecting = asyncio.Lock()
        self.partitions: Mapping[str, int] = {}
        """Of each topic that is written; empty: not connected yet."""

    async def write(self, messages: Sequence[Outgoing], *, timeout: timedelta) -> dict[int, int]:
        """Write to one topic, in order; returns the offset behind it in each partition, all acknowledged.

        What fails is tried again; what is then written twice is the same message. Raises `TransientError`
        within seconds when there is no broker, and `NotWrittenError` when one acknowledges nothing for so
        long.
        """
        if not messages:
            return {}
        publisher = await self._connected()
        topic = messages[0].topic
        count = self.partitions[topic]
        placed = [
            Outgoing(topic, one.key, one.value, partition=partition_of(one.key or b"", count))
            for one in messages
        ]
        trouble: TransientError | None = None
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                while True:
                    try:
                        ends = await publisher.write(placed)
                        break
                    except TransientError as error:
                        trouble = error
                    await asyncio.sleep(RETRY.total_seconds())
        except TimeoutError as error:
            await self._abandon()
            raise self._not_written(len(messages), timeout, trouble) from error
        return {at.number: await self._end(at.number, topic, end) for at, end in ends.items()}

    async def close(self) -> None:
        """Disconnect; a broker that is away does not keep it from ending."""
        publisher, self._publisher = self._publisher, None
        if publisher is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS_WITHIN.total_seconds()):
                await publisher.stop()
                return
        await publisher.abandon()

    async def _connected(self) -> KafkaPublisher:
        async with self._connecting:
            if self._publisher is None:
                with hurrying():
                    self.partitions = await require_topics(self._settings, WRITTEN)
                    publisher = KafkaPublisher(self._settings)
                    await publisher.start()
                self._publisher = publisher
            return self._publisher

    async def _abandon(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.abandon()

    async def _end(self, number: int, topic: str, end: int) -> int:
        """Return the offset; of a broker that forgot where it put what, where the partition ends now."""
        if end != UNSAID:
            return end
        log = BrokerLog(self._settings)
        try:
            return (await log.edges(Partition(topic, number)))[1]
        finally:
            await log.stop()

    def _not_written(self, count: int, timeout: timedelta, trouble: TransientError | None) -> NotWrittenError:
        where, seconds = self._settings.kafka, timeout.total_seconds()
        what = f"the broker at {where} has acknowledged none of {count:,} messages for {seconds:g} s"
        if trouble is None:
            fix = "look whether it runs (`headrace up`), then write them again"
            return NotWrittenError(what, cause="kafka.unacknowledged", fix=fix)
        return NotWrittenError(f"{what}: {trouble.explanation}", cause=trouble.cause, fix=trouble.fix)
