"""A broker's logs in memory, read as `RecordConsumer` reads them."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from shared.kafka.consumer import Edges
from shared.records import Partition, Record

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class MemoryLogs:
    """Offsets from `beginnings` on; `failures` are raised first, and while `silent` nothing comes."""

    def __init__(self, ends: dict[Partition, int], beginnings: dict[Partition, int] | None = None) -> None:
        self.logs = dict(ends)
        self.beginnings = {**dict.fromkeys(ends, 0), **(beginnings or {})}
        self.positions = dict(self.beginnings)
        self.failures: list[Exception] = []
        self.silent = False
        self.most = 3

    async def edges(self, partitions: Collection[Partition]) -> dict[Partition, Edges]:
        await self._answer()
        return {partition: (self.beginnings[partition], self.logs[partition]) for partition in partitions}

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        await self._answer()
        return {partition: self.logs[partition] for partition in partitions}

    def seek(self, partition: Partition, offset: int) -> None:
        self.positions[partition] = offset

    async def position(self, partition: Partition) -> int:
        return self.positions[partition]

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    async def read(
        self, *partitions: Partition, wait: timedelta, most: int | None = None
    ) -> Sequence[Record]:
        if self.silent:
            await asyncio.sleep(wait.total_seconds())
            return []
        await asyncio.sleep(0)
        records: list[Record] = []
        for partition in partitions or self.logs:
            first = self.positions[partition]
            self.positions[partition] = min(first + (most or self.most), self.logs[partition])
            records += [record(partition, offset) for offset in range(first, self.positions[partition])]
        return records

    async def _answer(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)


def record(partition: Partition, offset: int, key: bytes | None = b"k", value: bytes | None = b"v") -> Record:
    return Record(partition, offset, key, value, NOW)
