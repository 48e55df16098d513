"""What runs beside applying and searching: checkpoints, merges, and saying who serves what."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from prometheus_client import Gauge

from schemas.topics import index_records
from services.shards.handler import ShardHandler
from services.shards.serving import Serving
from shared.cluster.members import OwnerRecord
from shared.disk import writing
from shared.errors import FencedError, TransientError
from shared.kafka.offsets import BrokerLog
from shared.ports import Clock
from shared.process.worker import Worker
from shared.records import Partition

log = structlog.get_logger()

ANNOUNCED_FOR = timedelta(seconds=5)
MERGE_EVERY = timedelta(seconds=2)

segments = Gauge("headrace_shard_segments", "Immutable segments", ("generation", "partition"))
rows = Gauge("headrace_shard_rows", "Rows by state", ("generation", "partition", "state"))


class ShardMaintenance:
    """The periodic actions over all owned shards."""

    def __init__(
        self, handler: ShardHandler, *, clock: Clock, drop: Callable[[int], Awaitable[None]]
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._drop = drop

    async def save(self) -> None:
        """Checkpoint every shard that has something new; a fenced one is let go.

        Raises `TransientError` when the disk refused one of them, after the others.
        """
        refused = list[TransientError]()
        for number, serving in list(self._handler.serving.items()):
            try:
                with writing(self._handler.root(number)):
                    await asyncio.to_thread(serving.shard.checkpoint, self._clock.now())
            except FencedError as error:
                log.warning("shard.fenced", shard=number, reason=str(error))
                await self._drop(number)
            except TransientError as error:
                refused.append(error)
        if refused:
            raise refused[-1]

    async def merge(self) -> None:
        """Merge until the policy is content, and measure."""
        for number, serving in list(self._handler.serving.items()):
            with writing(self._handler.root(number)):
                while number in self._handler.serving and await asyncio.to_thread(serving.shard.merge):
                    pass
            _measure(self._handler.generation, number, serving)


class ShardOwnerStatus:
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
        logs = {shard.partition: Partition(topic, shard.partition) for shard in serving}
        ends = await self._log_edges.ends(list(logs.values()))
        for shard in serving:
            shard.end_offset = max(ends.get(logs[shard.partition], shard.end_offset), shard.next_offset)
        return [self._record(shard) for shard in serving]

    def _record(self, served: Serving) -> OwnerRecord:
        view = served.shard.view
        return OwnerRecord(
            url=self._worker.server.url,
            instance=self._worker.instance,
            partition=served.partition,
            partitions=self._worker.settings.partitions,
            epoch=served.epoch,
            next_offset=served.next_offset,
            end_offset=served.end_offset,
            ready=served.waiting_for is None,
            fingerprint=view.fingerprint,
            dimensions=view.dimensions,
            documents=view.documents,
            segments=len(view.parts),
            freshness_p50=served.freshness.quantile(0.5),
            freshness_p99=served.freshness.quantile(0.99),
            ingestion_p50=served.ingestion.quantile(0.5),
            ingestion_p99=served.ingestion.quantile(0.99),
            updated_at=self._clock.now(),
        )


def _measure(generation: str, number: int, serving: Serving) -> None:
    parts = serving.shard.view.parts
    live = sum(part.statistics.documents for part in parts)
    segments.labels(generation, str(number)).set(len(parts))
    rows.labels(generation, str(number), "live").set(live)
    rows.labels(generation, str(number), "dead").set(sum(part.size for part in parts) - live)
