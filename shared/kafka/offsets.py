"""Where the logs begin and end, as the broker says: beside the consumers, which may be stuck."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

import structlog

from shared.errors import TransientError
from shared.kafka.consumer import Edges, RecordConsumer
from shared.records import Partition
from shared.settings import Settings

PATIENCE = timedelta(seconds=2)
log = structlog.get_logger()


class BrokerLog:
    """Asks the broker for offsets over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: RecordConsumer | None = None
        self._connecting = asyncio.Lock()
        self._ends: dict[Partition, int] = {}

    async def start(self) -> None:
        """Nothing to prepare: it connects when it is asked, so that a broker that is away stops nobody."""

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def edges(self, partition: Partition) -> Edges:
        """Return the first and the next offset; raises `TransientError` when the broker is away."""
        return (await (await self._connected()).edges([partition]))[partition]

    async def offset_at(self, partition: Partition, moment: int) -> int | None:
        """Return the first offset appended then (milliseconds since 1970) or later; None: nothing was.

        Raises `TransientError` when the broker is away.
        """
        return await (await self._connected()).offset_at(partition, moment)

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Return the next offset of each; what the broker does not say in time is as it said last."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                if partitions:
                    self._ends |= await (await self._connected()).ends(partitions)
        except (TransientError, TimeoutError) as error:
            log.warning("offsets.unknown", reason=repr(error))
        return {partition: self._ends[partition] for partition in partitions if partition in self._ends}

    async def _connected(self) -> RecordConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = RecordConsumer(self._settings)
                await consumer.start()
                self._consumer = consumer
            return self._consumer
