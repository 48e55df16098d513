"""What runs beside applying and searching: checkpoints, merges, and saying who serves what."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from prometheus_client import Gauge

from schemas.topics import index_records
from services.shards.handler import ShardHandler
from services.shards.serving import Serving
from shared.adapters.broker_log import BrokerLog
from shared.errors import FencedError
from shared.ports import Clock
from shared.records import Partition
from shared.registry import OwnerRecord
from shared.worker import Worker

log = structlog.get_logger()

ANNOUNCED_FOR = timedelta(seconds=5)
MERGE_EVERY = timedelta(seconds=2)

segments = Gauge("headrace_shard_segments", "Immutable segments", ("generation", "partition"))
rows = Gauge("headrace_shard_rows", "Rows by state", ("generation", "partition", "state"))


class Upkeep:
    """The periodic actions over all owned shards."""

    def __init__(
        self, handler: ShardHandler, *, clock: Clock, drop: Callable[[int], Awaitable[None]]
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._drop = drop

    async def save(self) -> None:
        """Checkpoint every shard that has something new; a fenced one is let go."""
        for number, serving in list(self._handler.serving.items()):
            try:
                await asyncio.to_thread(serving.shard.checkpoint, self._clock.now())
            except FencedError as error:
                log.warning("shard.fenced", shard=number, reason=str(error))
                await self._drop(number)

    async def merge(self) -> None:
        """Merge until the policy is content, and measure."""
        for number, serving in list(self._handler.serving.items()):
            while number in self._handler.serving and await asyncio.to_thread(serving.shard.merge):
                pass
            _measure(self._handler.generation, number, serving)


class Standing:
    """What the owner of shards says of them: who serves what, and how far it is."""

    def __init__(self, handler: ShardHandler, log_edges: BrokerLog, *, worker: Worker, clock: Clock) -> None:
        self._handler = handler
        self._log_edges = log_edges
        self._worker = worker
        self._clock = clock

    async def __call__(self) -> list[OwnerRecord]:
        """Return one record a shard that is open."""
        serving = list(self._handler.serving.values())
        topic = index_records(self._handler.generation).name
        logs = {each.partition: Partition(topic, each.partition) for each in serving}
        ends = await self._log_edges.ends(list(logs.values()))
        for each in serving:
            each.end_offset = max(ends.get(logs[each.partition], each.end_offset), each.next_offset)
        return [self._record(each) for each in serving]

    def _record(self, each: Serving) -> OwnerRecord:
        view = each.shard.view
        return OwnerRecord(
            url=self._worker.server.url,
            instance=self._worker.instance,
            partition=each.partition,
            partitions=self._worker.settings.partitions,
            epoch=each.epoch,
            next_offset=each.next_offset,
            end_offset=each.end_offset,
            ready=each.waiting_for is None,
            fingerprint=view.fingerprint,
            dimensions=view.dimensions,
            documents=view.documents,
            freshness_p50=each.freshness(0.5),
            freshness_p99=each.freshness(0.99),
            updated_at=self._clock.now(),
        )


def _measure(generation: str, number: int, serving: Serving) -> None:
    parts = serving.shard.view.parts
    live = sum(int(part.live.sum()) for part in parts)
    segments.labels(generation, str(number)).set(len(parts))
    rows.labels(generation, str(number), "live").set(live)
    rows.labels(generation, str(number), "dead").set(sum(len(part.live) for part in parts) - live)
