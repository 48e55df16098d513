"""Where the logs begin and end, as the broker says: beside the consumers, which may be stuck."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.adapters.kafka import connection
from shared.errors import TransientError
from shared.records import Partition
from shared.settings import Settings

PATIENCE = timedelta(seconds=2)
log = structlog.get_logger()


class BrokerLog:
    """Asks the broker for offsets over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()
        self._ends: dict[Partition, int] = {}

    async def start(self) -> None:
        """Nothing to prepare: it connects when it is asked, so that a broker that is away stops nobody."""

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def edges(self, partition: Partition) -> tuple[int, int]:
        """Return the first and the next offset; raises `TransientError` when the broker is away."""
        at = self._at(partition)
        return (await self._ask("beginning_offsets", [at]))[at], (await self._ask("end_offsets", [at]))[at]

    async def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Return the next offset of each; what the broker does not say in time is as it said last."""
        named = {self._at(partition): partition for partition in partitions}
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                found = await self._ask("end_offsets", list(named)) if named else {}
            self._ends |= {named[at]: offset for at, offset in found.items()}
        except (TransientError, TimeoutError) as error:
            log.warning("offsets.unknown", reason=repr(error))
        return {partition: self._ends[partition] for partition in partitions if partition in self._ends}

    def _at(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._settings.topic_prefix + partition.topic, partition.number)

    async def _ask(self, question: str, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        try:
            consumer = await self._connected()
            found: dict[TopicPartition, int] = await getattr(consumer, question)(partitions)
        except (KafkaError, OSError) as error:
            raise TransientError(f"the log's offsets cannot be read: {error!r}") from error
        return found

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False)
                try:
                    await consumer.start()
                except BaseException:  # also when whoever asks has stopped waiting
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer
