"""The embedder, wired: one `Embedder` a generation, and the threads that they share."""

import asyncio

import stamina
import structlog

from schemas.catalogue import ProductChange
from schemas.topics import index_records
from services.embedder.backfill import Backfill
from services.embedder.domain.plan import Recipe
from services.embedder.handler import EmbedderHandler, Ports
from services.embedder.records import KafkaRecordLog
from services.embedder.settings import Settings
from services.embedder.store import DocumentStore
from services.embedder.writer import RecordWriter
from shared import encoder
from shared.adapters import redis
from shared.adapters.kafka import KafkaPublisher, partition_counts
from shared.announcing import LoopAnnouncer
from shared.clock import SystemClock
from shared.encoder.batcher import CoalescingEncoder, Passes
from shared.errors import TransientError
from shared.generation_parts import GenerationParts
from shared.generations import Generation, Stage
from shared.loop import PartitionLoop, Reading
from shared.partition_reader import BatchLimits
from shared.records import Partition
from shared.rollout_log import RolloutLog
from shared.standing import Standings
from shared.worker import Worker

log = structlog.get_logger()
NAME = "embedder"


def build(settings: Settings) -> Worker:
    """Return the worker process."""
    worker = Worker(NAME, settings, port=settings.embedder.port)
    rollouts, passes, client = RolloutLog(settings), Passes(), redis.connect(settings)

    async def remove(generation: Generation) -> None:
        await clear(settings, DocumentStore(client, settings.namespace, generation=generation.name))

    generations = GenerationParts(
        rollouts,
        lambda generation: Embedder(generation.settings(settings), generation, passes),
        Standings(client, settings, worker=NAME, clock=SystemClock()),
        remove=remove,
    )
    for part in (redis.Connection(client), rollouts, passes, generations):
        worker.add(part)
    return worker


async def clear(settings: Settings, store: DocumentStore) -> None:
    """Remove what Redis holds of a generation that was given up."""
    counts = await partition_counts(settings, [ProductChange.topic])
    if counts is None:
        raise TransientError(f"no broker answers at {settings.kafka}")
    for number in range(counts[ProductChange.topic]):
        await store.remove(Partition(ProductChange.topic, number))


class Embedder:
    """One generation's embedder: model, Redis, publisher, and the loop that drives the handler."""

    def __init__(self, settings: Settings, generation: Generation, passes: Passes) -> None:
        self._settings = settings
        self._generation = generation
        self._passes = passes
        self._stage: Stage = generation.stage
        self._clock = SystemClock()
        self._redis = redis.connect(settings)
        self._publisher = KafkaPublisher(settings)
        self._model: CoalescingEncoder | None = None
        self._handler: EmbedderHandler | None = None
        self._loop: PartitionLoop[ProductChange] | None = None
        self._announcer: LoopAnnouncer | None = None

    async def start(self) -> None:
        """Load the model, make sure that the generation is its own, then read."""
        # In a thread: importing and loading takes seconds, and `/livez` must answer meanwhile.
        loaded = await asyncio.to_thread(encoder.load, self._settings.model, self._generation.model)
        log.info(
            "model.loaded",
            generation=self._settings.generation,
            fingerprint=loaded.fingerprint,
            dimensions=loaded.dimensions,
        )
        records = KafkaRecordLog(self._settings)
        async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=None):
            with attempt:  # a broker that is away for a moment is waited for
                await records.check_fingerprint(loaded.fingerprint)
        self._model = CoalescingEncoder(loaded, passes=self._passes)
        self.at(self._stage)
        await self._model.start()
        await self._publisher.start()
        self._loop = self._reading(self._model, records)
        await self._loop.start()
        self._announcer = LoopAnnouncer(self._settings, self._loop, redis=self._redis, clock=self._clock)
        await self._announcer.start()

    def at(self, stage: Stage) -> None:
        """Let the texts of the live generation go first."""
        self._stage = stage
        if self._model is not None:
            self._model.background = stage != "live"

    async def stop(self) -> None:
        """Drain the loop, then let go of everything."""
        if self._announcer is not None:
            await self._announcer.stop()
        if self._handler is not None:
            self._handler.end_soon()
        if self._loop is not None:
            await self._loop.stop()
        await self._publisher.stop()
        if self._model is not None:
            await self._model.stop()
        await self._redis.aclose()

    async def wait(self) -> None:
        """Raise what made the loop, or the word about it, fail."""
        if self._loop is not None and self._announcer is not None:
            await asyncio.gather(self._loop.wait(), self._announcer.wait())

    def _reading(self, model: CoalescingEncoder, records: KafkaRecordLog) -> PartitionLoop[ProductChange]:
        settings = self._settings
        self._handler = EmbedderHandler(self._ports(model, records))
        limits = BatchLimits(messages=settings.embedder.batch_messages, size=settings.embedder.batch_bytes)
        # Each generation reads all changes, so it is a group of its own.
        reading = Reading(
            name=f"embedder-{settings.generation}", topics=(ProductChange.topic,), limits=limits
        )
        return PartitionLoop(
            settings, self._handler, reading=reading, publisher=self._publisher, clock=self._clock
        )

    def _ports(self, model: CoalescingEncoder, records: KafkaRecordLog) -> Ports:
        settings, source = self._settings, self._generation.source
        store = DocumentStore(self._redis, settings.namespace, generation=settings.generation)
        recipe = Recipe(
            templates=settings.embedder.text,
            cut=settings.embedder.cut,
            fingerprint=model.fingerprint,
            dimensions=model.dimensions,
        )
        topic = index_records(settings.generation).name
        writer = RecordWriter(store, model, self._publisher, recipe=recipe, topic=topic)
        backfill = Backfill(KafkaRecordLog(settings, source), store, writer) if source else None
        return Ports(store=store, writer=writer, records=records, clock=self._clock, backfill=backfill)
