"""The shards of one generation in this process: leases decide what is read, the loop applies it."""

import asyncio
import shutil

from schemas.topics import index_records
from services.shards.handler import ShardHandler
from services.shards.records import Entry
from services.shards.settings import Settings
from services.shards.upkeep import ANNOUNCED_FOR, MERGE_EVERY, Standing, Upkeep
from shared.adapters.broker_log import BrokerLog
from shared.adapters.kafka import KafkaPublisher, wait_for_broker
from shared.adapters.redis import Connection, connect
from shared.alerts import BusAlerts
from shared.clock import SystemClock
from shared.loop import PartitionLoop, Reading
from shared.ownership import Claim, Ownership
from shared.part_group import PartGroup
from shared.partition_reader import BatchLimits
from shared.periodic import Every
from shared.records import Partition
from shared.registry import Announcer, Registry
from shared.worker import Worker

BATCH = BatchLimits(messages=1000)
"""A commit of the text index costs tens of milliseconds, however little is in it."""


class Topic:
    """The part that waits until this generation's topic is there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def start(self) -> None:
        """Wait for the broker and the topic."""
        await wait_for_broker(self._settings, [index_records(self._settings.generation).name])

    async def stop(self) -> None:
        """Nothing to end."""


class LoopHolder:
    """Lets leases steer the loop."""

    def __init__(self, loop: PartitionLoop[Entry], handler: ShardHandler, topic: str) -> None:
        self._loop = loop
        self._handler = handler
        self._topic = topic

    def seen_epoch(self, partition: int) -> int:
        """Return what the disk knows."""
        return self._handler.seen_epoch(partition)

    async def take(self, partition: int, epoch: int) -> None:
        """Read the partition from where its state is."""
        self._handler.epochs[partition] = epoch
        await self._loop.assign(Partition(self._topic, partition))

    async def drop(self, partition: int) -> None:
        """Stop reading it; its state is saved."""
        await self._loop.release(Partition(self._topic, partition))


class GenerationShards(PartGroup):
    """Owns shards of `settings.generation`; `handler.serving` has those that are open."""

    def __init__(self, settings: Settings, *, worker: Worker, publisher: KafkaPublisher) -> None:
        clock, log_edges = SystemClock(), BrokerLog(settings)
        self.handler = ShardHandler(settings, alerts=BusAlerts(publisher), edges=log_edges, clock=clock)
        reading = Reading(name="shards", limits=BATCH)
        loop = PartitionLoop(settings, self.handler, reading=reading, publisher=publisher, clock=clock)
        redis = connect(settings)
        holder = LoopHolder(loop, self.handler, index_records(settings.generation).name)
        ownership = Ownership(redis, _claim(settings), holder)
        self.upkeep = Upkeep(self.handler, clock=clock, drop=ownership.let_go)
        announcer = Announcer(
            Registry(redis, settings.namespace, settings.generation),
            Standing(self.handler, log_edges, worker=worker, clock=clock),
            ttl=ANNOUNCED_FOR,
        )
        super().__init__(
            (
                Connection(redis),
                Topic(settings),
                log_edges,
                loop,
                announcer,
                Every("checkpoint", settings.shards.checkpoint_every, self.upkeep.save),
                Every("merge", MERGE_EVERY, self.upkeep.merge),
                ownership,
            )
        )

    def missing(self) -> str | None:
        """Say which owned shards have not caught up."""
        handler = self.handler
        reasons = [reason for each in handler.serving.values() if (reason := each.waiting_for)]
        opening = sorted(handler.epochs.keys() - handler.serving.keys())
        return "; ".join(reasons + [f"shard {number} is opening" for number in opening]) or None


async def remove(settings: Settings) -> None:
    """Remove what this machine keeps of the shards of `settings.generation`, which was given up."""
    place = settings.data_dir / "shards" / settings.generation
    await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _claim(settings: Settings) -> Claim:
    return Claim(
        base=f"{settings.namespace}:shards:{settings.generation}",
        member=settings.member,
        partitions=settings.partitions,
        ttl=settings.shards.lease,
    )
