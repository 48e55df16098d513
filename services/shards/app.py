"""Wires the shards worker: leases decide what is read, the loop applies it, HTTP answers from it."""

import faiss

from schemas.topics import index_records
from services.shards.api import Answers, router
from services.shards.handler import ShardHandler
from services.shards.records import Entry
from services.shards.settings import Settings
from services.shards.upkeep import ANNOUNCED_FOR, MERGE_EVERY, Standing, Upkeep
from shared.adapters.broker_log import BrokerLog
from shared.adapters.kafka import KafkaPublisher, wait_for_broker
from shared.adapters.redis import connect
from shared.alerts import BusAlerts
from shared.clock import SystemClock
from shared.loop import PartitionLoop, Reading
from shared.ownership import Claim, Ownership
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


def build(settings: Settings) -> Worker:
    """Return the worker, ready to run."""
    faiss.omp_set_num_threads(1)  # searches run side by side in threads of their own
    worker = Worker("shards", settings, port=settings.shards.port)
    clock, publisher, log_edges = SystemClock(), KafkaPublisher(settings), BrokerLog(settings)
    handler = ShardHandler(settings, alerts=BusAlerts(publisher), edges=log_edges, clock=clock)
    loop = PartitionLoop(
        settings, handler, reading=Reading(name="shards", limits=BATCH), publisher=publisher, clock=clock
    )
    redis = connect(settings)
    holder = LoopHolder(loop, handler, index_records(settings.generation).name)
    ownership = Ownership(redis, _claim(settings), holder)
    upkeep = Upkeep(handler, clock=clock, drop=ownership.let_go)
    announcer = Announcer(
        Registry(redis, settings.namespace, settings.generation),
        Standing(handler, log_edges, worker=worker, clock=clock),
        ttl=ANNOUNCED_FOR,
    )
    answers = Answers(
        handler.serving.get,
        generation=settings.generation,
        partitions=settings.partitions,
        threads=settings.shards.search_threads,
    )
    worker.api.include_router(router(answers))
    for part in (
        publisher,
        Topic(settings),
        log_edges,
        loop,
        announcer,
        Every("checkpoint", settings.shards.checkpoint_every, upkeep.save),
        Every("merge", MERGE_EVERY, upkeep.merge),
        ownership,
    ):
        worker.add(part)
    worker.ready("shards", lambda: _missing(handler))
    worker.command("shards.snapshot", lambda _: upkeep.save())
    return worker


def _claim(settings: Settings) -> Claim:
    return Claim(
        base=f"{settings.namespace}:shards:{settings.generation}",
        member=settings.member,
        partitions=settings.partitions,
        ttl=settings.shards.lease,
    )


def _missing(handler: ShardHandler) -> str | None:
    """Say which owned shards have not caught up."""
    reasons = [reason for each in handler.serving.values() if (reason := each.waiting_for)]
    opening = sorted(handler.epochs.keys() - handler.serving.keys())
    return "; ".join(reasons + [f"shard {number} is opening" for number in opening]) or None
