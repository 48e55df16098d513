"""The embedder, wired."""

import asyncio

import stamina
import structlog

from schemas.catalogue import ProductChange
from schemas.topics import index_records
from services.embedder.domain.plan import Recipe
from services.embedder.handler import EmbedderHandler, Ports
from services.embedder.records import KafkaRecordLog
from services.embedder.settings import Settings
from services.embedder.store import DocumentStore
from shared import encoder
from shared.adapters import redis
from shared.adapters.kafka import KafkaPublisher
from shared.announcing import LoopAnnouncer
from shared.clock import SystemClock
from shared.encoder.batcher import CoalescingEncoder
from shared.errors import TransientError
from shared.loop import PartitionLoop, Reading
from shared.partition_reader import BatchLimits
from shared.worker import Worker

log = structlog.get_logger()


def build(settings: Settings) -> Worker:
    """Return the worker process."""
    worker = Worker("embedder", settings, port=settings.embedder.port)
    worker.add(Embedder(settings))
    return worker


class Embedder:
    """The parts of an embedder: model, Redis, publisher, and the loop that drives the handler."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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
        loaded = await asyncio.to_thread(encoder.load, self._settings.model)
        log.info("model.loaded", fingerprint=loaded.fingerprint, dimensions=loaded.dimensions)
        records = KafkaRecordLog(self._settings)
        async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=None):
            with attempt:  # a broker that is away for a moment is waited for
                await records.check_fingerprint(loaded.fingerprint)
        self._model = CoalescingEncoder(loaded)
        await self._model.start()
        await self._publisher.start()
        self._loop = self._reading(self._model, records)
        await self._loop.start()
        self._announcer = LoopAnnouncer(self._settings, self._loop, redis=self._redis, clock=self._clock)
        await self._announcer.start()

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
        recipe = Recipe(
            templates=settings.embedder.text,
            cut=settings.embedder.cut,
            fingerprint=model.fingerprint,
            dimensions=model.dimensions,
        )
        store = DocumentStore(self._redis, namespace=settings.namespace, generation=settings.generation)
        ports = Ports(
            store=store, encoder=model, records=records, publisher=self._publisher, clock=self._clock
        )
        handler = EmbedderHandler(ports, recipe, topic=index_records(settings.generation).name)
        self._handler = handler
        limits = BatchLimits(messages=settings.embedder.batch_messages, size=settings.embedder.batch_bytes)
        # Each generation reads all changes, so it is a group of its own.
        reading = Reading(
            name=f"embedder-{settings.generation}", topics=(ProductChange.topic,), limits=limits
        )
        return PartitionLoop(settings, handler, reading=reading, publisher=self._publisher, clock=self._clock)
