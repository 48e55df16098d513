"""A partition loop says in Redis what it reads and how far it is, so that one that is dead is missed."""

from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from shared.adapters.broker_log import BrokerLog
from shared.loop import PartitionLoop
from shared.ports import Clock
from shared.registry import Announcer, ReaderRecord, Readers
from shared.settings import Settings

ANNOUNCED_FOR = timedelta(seconds=10)


class LoopAnnouncer:
    """The part of a worker that announces the partitions of one of its loops; added after the loop."""

    def __init__(
        self,
        settings: Settings,
        loop: PartitionLoop[Any],  # Any: whatever it reads
        *,
        redis: Redis,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._clock = clock
        self._log = BrokerLog(settings)
        board = Readers(redis, settings.namespace, loop.name)
        self._announcer = Announcer(board, self._standing, ttl=ANNOUNCED_FOR)

    async def start(self) -> None:
        """Begin."""
        await self._log.start()
        await self._announcer.start()

    async def stop(self) -> None:
        """Take every announcement back."""
        await self._announcer.stop()
        await self._log.stop()

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        await self._announcer.wait()

    async def _standing(self) -> list[ReaderRecord]:
        positions = self._loop.positions
        ends = await self._log.ends(list(positions))
        return [
            ReaderRecord(
                instance=self._settings.member,
                topic=partition.topic,
                partition=partition.number,
                partitions=self._loop.partitions[partition.topic],
                next_offset=offset,
                end_offset=max(ends.get(partition, 0), offset or 0),
                updated_at=self._clock.now(),
            )
            for partition, offset in positions.items()
        ]
