"""The shards of one generation in this process: leases decide what is read, the loop applies it."""

import asyncio
import shutil

from schemas.topics import index_records
from services.shards.handler import ShardHandler
from services.shards.maintenance import ANNOUNCED_FOR, MERGE_EVERY, ShardMaintenance, ShardOwnerStatus
from services.shards.records import ShardEntry
from services.shards.settings import Settings, lease_name
from shared.clock import SystemClock
from shared.cluster.assignment import AssignmentSpec, PartitionAssignment
from shared.cluster.registry import HeartbeatPublisher, OwnerRegistry
from shared.kafka.client import wait_for_broker
from shared.kafka.offsets import BrokerLog
from shared.kafka.publisher import KafkaPublisher
from shared.process.components import ComponentGroup
from shared.process.periodic import Every
from shared.process.worker import Worker
from shared.records import Partition
from shared.state.redis import Connection, connect
from shared.streaming.alerts import BusAlerts
from shared.streaming.context import BatchLimits
from shared.streaming.loop import PartitionLoop, Subscription

BATCH = BatchLimits(messages=1000)
"""Of one product there is one change in a batch, whatever was said of it before."""


class Topic:
    """The component that waits until this generation's topic is there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def start(self) -> None:
        """Wait for the broker and the topic."""
        await wait_for_broker(self._settings, [index_records(self._settings.generation).name])

    async def stop(self) -> None:
        """Nothing to end."""


class LoopHolder:
    """Lets leases steer the loop."""

    def __init__(self, loop: PartitionLoop[ShardEntry], handler: ShardHandler, topic: str) -> None:
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


class GenerationShards:
    """Owns shards of `settings.generation`; `handler.serving` has those that are open."""

    def __init__(self, settings: Settings, *, worker: Worker, publisher: KafkaPublisher) -> None:
        clock, log_edges = SystemClock(), BrokerLog(settings)
        self.handler = ShardHandler(settings, alerts=BusAlerts(publisher), edges=log_edges, clock=clock)
        subscription = Subscription(name="shards", limits=BATCH)
        loop = PartitionLoop(
            settings, self.handler, subscription=subscription, publisher=publisher, clock=clock
        )
        redis = connect(settings)
        holder = LoopHolder(loop, self.handler, index_records(settings.generation).name)
        ownership = PartitionAssignment(redis, _claim(settings), holder)
        loop.led_by(ownership.let_go)
        self.maintenance = ShardMaintenance(self.handler, clock=clock, drop=ownership.let_go)
        self._let_go = ownership.let_go
        announcer = HeartbeatPublisher(
            OwnerRegistry(redis, settings.namespace, settings.generation),
            ShardOwnerStatus(self.handler, log_edges, worker=worker, clock=clock),
            ttl=ANNOUNCED_FOR,
        )
        self._components = ComponentGroup(
            (
                Connection(redis),
                Topic(settings),
                log_edges,
                loop,
                announcer,
                Every("checkpoint", settings.shards.checkpoint_every, self.maintenance.save),
                Every("merge", MERGE_EVERY, self.maintenance.merge),
                ownership,
            )
        )

    async def start(self) -> None:
        """Begin to take shards."""
        await self._components.start()

    def cease(self) -> None:
        """Read no further."""
        self._components.cease()

    async def stop(self) -> None:
        """Save and let go of every shard."""
        await self._components.stop()

    async def wait(self) -> None:
        """Raise what made a component fail."""
        await self._components.wait()

    async def rebuild(self, partition: int) -> None:
        """Drop what is stored of a partition that is served here; its log is read anew at the next tick."""
        if partition in self.handler.serving:
            self.handler.forgotten.add(partition)
            await self._let_go(partition)

    def missing(self) -> str | None:
        """Say which owned shards have not caught up."""
        handler = self.handler
        reasons = [reason for shard in handler.serving.values() if (reason := shard.waiting_for)]
        opening = sorted(handler.epochs.keys() - handler.serving.keys())
        return "; ".join(reasons + [f"shard {number} is opening" for number in opening]) or None


async def remove(settings: Settings) -> None:
    """Remove what this machine keeps of the shards of `settings.generation`, which was given up."""
    place = settings.data_dir / "shards" / settings.generation
    await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _claim(settings: Settings) -> AssignmentSpec:
    return AssignmentSpec(
        base=lease_name(settings.namespace, settings.generation),
        member=settings.member,
        partitions=settings.partitions,
        ttl=settings.shards.lease,
    )
