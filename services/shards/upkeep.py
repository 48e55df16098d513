"""What runs beside applying and searching: checkpoints, merges, and saying who serves what."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from schemas.topics import index_records
from services.shards.handler import ShardHandler
from services.shards.serving import Serving
from services.shards.settings import Settings
from shared.adapters.kafka import connection
from shared.errors import FencedError, TransientError
from shared.ports import Clock
from shared.records import Partition
from shared.registry import OwnerRecord, Registry
from shared.worker import Worker

log = structlog.get_logger()

ANNOUNCE_EVERY = timedelta(seconds=1)
ANNOUNCED_FOR = timedelta(seconds=5)
MERGE_EVERY = timedelta(seconds=2)

segments = Gauge("headrace_shard_segments", "Immutable segments", ("partition",))
rows = Gauge("headrace_shard_rows", "Rows by state", ("partition", "state"))


class BrokerLog:
    """Where the shards' logs begin and end, as the broker says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect."""
        self._consumer = AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False)
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def edges(self, partition: Partition) -> tuple[int, int]:
        """Return the first and the next offset; raises `TransientError` when the broker is away."""
        at = self._at(partition.number)
        return (await self._ask("beginning_offsets", [at]))[at], (await self._ask("end_offsets", [at]))[at]

    async def ends(self, numbers: list[int]) -> dict[int, int]:
        """Return the next offset of each of these partitions."""
        found = await self._ask("end_offsets", [self._at(number) for number in numbers])
        return {at.partition: offset for at, offset in found.items()}

    def _at(self, number: int) -> TopicPartition:
        name = index_records(self._settings.generation).name
        return TopicPartition(self._settings.topic_prefix + name, number)

    async def _ask(self, question: str, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self._consumer is None:
            raise TransientError("not connected to the broker yet")
        try:
            found: dict[TopicPartition, int] = await getattr(self._consumer, question)(partitions)
        except KafkaError as error:
            raise TransientError(f"the log's offsets cannot be read: {error!r}") from error
        return found


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
            _measure(number, serving)


class Announcer:
    """Tells the registry, every second, what is served here and how far it is."""

    def __init__(self, registry: Registry, handler: ShardHandler, *, worker: Worker, clock: Clock) -> None:
        self._registry = registry
        self._handler = handler
        self._worker = worker
        self._clock = clock
        self._announced: dict[int, OwnerRecord] = {}

    async def start(self) -> None:
        """Nothing to begin: `announce` is called from outside."""

    async def stop(self) -> None:
        """Take every announcement back."""
        for owner in self._announced.values():
            await self._registry.withdraw(owner)

    async def announce(self, log_edges: BrokerLog) -> None:
        """Announce all shards that are open, and take back those that are not any more."""
        serving = dict(self._handler.serving)
        ends = await log_edges.ends(list(serving)) if serving else {}
        for number, each in serving.items():
            each.end_offset = max(ends.get(number, each.end_offset), each.next_offset)
            self._announced[number] = self._record(each)
            await self._registry.announce(self._announced[number], ANNOUNCED_FOR)
        for number in list(self._announced.keys() - serving.keys()):
            await self._registry.withdraw(self._announced.pop(number))

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


def _measure(number: int, serving: Serving) -> None:
    parts = serving.shard.view.parts
    live = sum(int(part.live.sum()) for part in parts)
    segments.labels(str(number)).set(len(parts))
    rows.labels(str(number), "live").set(live)
    rows.labels(str(number), "dead").set(sum(len(part.live) for part in parts) - live)
