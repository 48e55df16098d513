"""The embedder, wired: one `Embedder` a generation, and the threads that they share."""

import asyncio
import gc
from functools import partial
from typing import NamedTuple

import stamina
import structlog

from schemas.catalogue import ProductChange
from services.embedder.backfill import Backfill
from services.embedder.domain.plan import EmbeddingRecipe
from services.embedder.handler import EmbedderHandler
from services.embedder.home import LOGS
from services.embedder.ports import Ports
from services.embedder.records import KafkaRecordLog
from services.embedder.routing import describe
from services.embedder.settings import Settings
from services.embedder.sources import BusSources, Rewinding
from services.embedder.store import DocumentStore
from services.embedder.texts import TextIndex, forget
from services.embedder.writer import RecordWriter
from shared.catalogue.language import detector
from shared.clock import SystemClock
from shared.encoder.batcher import CoalescingEncoder, EncoderThreads
from shared.encoder.loading import load_encoder
from shared.errors import ConfigurationError, TransientError
from shared.generations.product_texts import check_product_texts, cutter
from shared.generations.rollout_log import RolloutLog
from shared.generations.settings import generation_settings
from shared.generations.state import Generation, Stage
from shared.generations.status import GenerationStatusBoard
from shared.generations.supervisor import GenerationSupervisor, Persistence
from shared.kafka.offsets import BrokerLog
from shared.kafka.publisher import KafkaPublisher
from shared.ports import Encoder
from shared.process.components import ComponentGroup
from shared.process.worker import Worker
from shared.state import redis
from shared.streaming.acceptance_log import AcceptanceLog
from shared.streaming.context import BatchLimits
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop, Subscription
from shared.streaming.router import Routing

log = structlog.get_logger()
NAME = "embedder"


def build(settings: Settings) -> Worker:
    """Return the worker process."""
    worker = Worker(NAME, settings, port=settings.embedder.port)
    rollouts, acceptances = RolloutLog(settings), AcceptanceLog(settings)
    passes, client = EncoderThreads(), redis.connect(settings)
    common = Common(passes, acceptances)
    publisher, clock = KafkaPublisher(settings), SystemClock()
    subject = partial(describe, numbers=settings.catalogue.numbers)
    router = Routing(settings, {ProductChange.topic: subject}, redis=client, publisher=publisher, clock=clock)

    async def remove(generation: Generation) -> None:
        store = DocumentStore(client, settings.namespace, generation=generation.name)
        for number in range(settings.partitions):
            await store.remove(number)
        await forget(client, settings.namespace, generation.name)

    generations = GenerationSupervisor(
        rollouts,
        lambda generation: Embedder(generation_settings(settings, generation), generation, common),
        GenerationStatusBoard(client, settings, worker=NAME, clock=clock),
        remove=remove,
        persistence=Persistence(patience=settings.generations.patience),
    )
    connection = redis.Connection(client)
    for component in (connection, rollouts, acceptances, passes, publisher, router, generations):
        worker.add(component)
    return worker


class Common(NamedTuple):
    """What the embedders of all generations share."""

    passes: EncoderThreads
    acceptances: AcceptanceLog


class Embedder:
    """One generation's embedder: model, Redis, publisher, and the loop that drives the handler."""

    def __init__(self, settings: Settings, generation: Generation, common: Common) -> None:
        self._settings = settings
        self._generation = generation
        self._common = common
        self._stage: Stage = generation.stage
        self._model: CoalescingEncoder | None = None
        self._writer: RecordWriter | None = None
        self._components = ComponentGroup()

    async def start(self) -> None:
        """Load the model, make sure that the generation is its own, then read."""
        records = KafkaRecordLog(self._settings)
        self._model = await self._load(records)
        gc.freeze()  # what came with the model is looked at by no collection until it goes
        self.at(self._stage)
        self._components = self._reading(self._model, records)
        await self._components.start()

    def cease(self) -> None:
        """Read no further."""
        self._components.cease()

    async def stop(self) -> None:
        """Drain the loop, then let go of everything."""
        await self._components.stop()
        gc.unfreeze()

    async def wait(self) -> None:
        """Raise what made the loop, or the word about it, fail."""
        await self._components.wait()

    def at(self, stage: Stage) -> None:
        """Let the texts of the live generation go first, and have it say what they are like."""
        self._stage = stage
        if self._model is not None:
            self._model.background = stage != "live"
        if self._writer is not None:
            self._writer.live = stage == "live"

    async def _load(self, records: KafkaRecordLog) -> CoalescingEncoder:
        # In a thread: importing and loading takes seconds, and `/livez` must answer meanwhile.
        loaded = await asyncio.to_thread(load_encoder, self._settings.model, self._generation.model)
        await asyncio.to_thread(self._check_product_texts, loaded)
        await asyncio.to_thread(detector, self._settings.embedder.language)
        log.info(
            "model.loaded",
            generation=self._settings.generation,
            fingerprint=loaded.fingerprint,
            dimensions=loaded.dimensions,
        )
        async for attempt in stamina.retry_context(on=TransientError, attempts=None, timeout=None):
            with attempt:  # a broker that is away for a moment is waited for
                await records.check_fingerprint(loaded.fingerprint)
        return CoalescingEncoder(loaded, passes=self._common.passes)

    def _check_product_texts(self, encoder: Encoder) -> None:
        """Refuse the generation when its products are not embedded as they were evaluated, unless it is live.

        What shoppers search goes on: its texts are as somebody has configured them since.
        """
        try:
            check_product_texts(encoder, self._settings.embedder, self._generation.model)
        except ConfigurationError as error:
            if self._stage != "live":
                raise
            log.warning("model.other_texts", generation=self._settings.generation, reason=str(error))

    def _reading(self, model: CoalescingEncoder, records: KafkaRecordLog) -> ComponentGroup:
        settings, clock = self._settings, SystemClock()
        client, publisher = redis.connect(settings), KafkaPublisher(settings)
        store = DocumentStore(client, settings.namespace, generation=settings.generation)
        recipe = self._recipe(model)
        texts = TextIndex(
            client, settings.namespace, settings.generation, homes=settings.partitions, recipe=recipe
        )
        writer = RecordWriter(store, model, publisher, texts=texts, generation=settings.generation)
        writer.live = self._stage == "live"
        self._writer = writer
        source = self._generation.source
        backfill = Backfill(KafkaRecordLog(settings, source), store, writer) if source else None
        broker = BrokerLog(settings)
        handler = EmbedderHandler(
            Ports(
                store=store,
                writer=writer,
                records=records,
                clock=clock,
                homes=settings.partitions,
                parts=settings.catalogue.parts,
                sources=BusSources(self._common.acceptances, broker),
                backfill=backfill,
            )
        )
        limits = BatchLimits(messages=settings.embedder.batch_messages, size=settings.embedder.batch_bytes)
        # Each generation reads all changes, so it is a group of its own.
        subscription = Subscription(
            name=f"embedder-{settings.generation}",
            topics=LOGS,
            partitions=settings.partitions,
            routed=True,
            limits=limits,
        )
        loop = PartitionLoop(settings, handler, subscription=subscription, publisher=publisher, clock=clock)
        heartbeat = ReaderHeartbeat(settings, loop, redis=client, clock=clock)
        before = (redis.Connection(client), model, publisher, broker)
        rewinding = Rewinding(self._common.acceptances, loop)
        return ComponentGroup((*before, rewinding, loop, EarlyEnd(handler), heartbeat))

    def _recipe(self, model: CoalescingEncoder) -> EmbeddingRecipe:
        settings = self._settings.embedder
        return EmbeddingRecipe(
            templates=settings.text,
            cut=cutter(settings.cut, model),
            fingerprint=model.fingerprint,
            dimensions=model.dimensions,
            language=detector(settings.language),
        )


class EarlyEnd:
    """The component that tells the handler, before its loop is drained, to make the batch in hand short."""

    def __init__(self, handler: EmbedderHandler) -> None:
        self._handler = handler

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Tell it."""
        self._handler.end_soon()
