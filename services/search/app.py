"""Wires the search worker: model, shards, log, and the routes before them."""

from functools import partial
from uuid import uuid4

from schemas.alerts import Alert
from services.search.api import SearchApi, mount
from services.search.embedding import QueryVectors
from services.search.engine import SearchDependencies, SearchEngine
from services.search.generation import ServedGenerations
from services.search.log import QueryLog
from services.search.owners import Owners
from services.search.reranker import Reranker
from services.search.settings import RerankerSettings, Settings
from services.search.shards import ShardClient
from services.search.written import StoredProgress, WrittenChanges
from shared.clock import SystemClock
from shared.encoder.loading import load_encoder
from shared.extras import TORCH, require
from shared.generations.rollout_log import RolloutLog
from shared.generations.settings import generation_settings
from shared.generations.state import Generation
from shared.generations.status import GenerationStatusBoard
from shared.generations.supervisor import GenerationSupervisor, Persistence
from shared.kafka.compacted import CompactedTopic
from shared.kafka.offsets import BrokerLog
from shared.kafka.publisher import KafkaPublisher
from shared.ports import PairModel
from shared.process.worker import Worker
from shared.state.redis import Connection, connect
from shared.streaming.heartbeat import FollowedTopics, ReaderHeartbeat

NAME = "search"


def build(settings: Settings) -> Worker:
    """Return the search worker, ready to run."""
    worker = Worker(NAME, settings, port=settings.search.port)
    section, redis = settings.search, connect(settings)
    publisher = KafkaPublisher(settings)
    log = QueryLog(publisher, capacity=section.log_capacity)
    rollouts, alerts = RolloutLog(settings), CompactedTopic(settings, Alert.topic)

    def encoder(generation: Generation) -> QueryVectors:
        model = generation_settings(settings, generation).model
        return QueryVectors(partial(load_encoder, model, generation.model), remember=section.cached_queries)

    clock = SystemClock()
    encoders = GenerationSupervisor(
        rollouts,
        encoder,
        GenerationStatusBoard(redis, settings, worker=NAME, clock=clock),
        persistence=Persistence(patience=settings.generations.patience),
    )
    shards, edges = ShardClient(headers=settings.cluster.headers), BrokerLog(settings)
    dependencies = SearchDependencies(
        generations=ServedGenerations(rollouts, encoders, alerts.items),
        owners=Owners(redis, settings.namespace, ttl=section.owners_ttl),
        shards=shards,
        new_id=lambda: uuid4().hex,
        reranker=_reranker(section.reranker),
    )
    engine = SearchEngine(section, dependencies)
    progress = StoredProgress(redis, settings.namespace, edges)
    written = WrittenChanges(dependencies, progress, timeout=section.timeout)
    heartbeat = ReaderHeartbeat(settings, FollowedTopics(NAME, rollouts, alerts), redis=redis, clock=clock)
    for component in (Connection(redis), publisher, log, shards, edges, rollouts, alerts, encoders):
        worker.add(component)
    worker.add(heartbeat)
    if dependencies.reranker is not None:
        worker.add(dependencies.reranker)
    worker.ready("model", dependencies.generations.missing)
    mount(
        worker.api, SearchApi(section, engine, log, written=written, clock=clock), section, host=settings.host
    )
    return worker


def _reranker(settings: RerankerSettings) -> Reranker | None:
    directory = settings.model
    if directory is None:
        return None
    require("search.reranker.model", *TORCH)

    def load_pairs() -> PairModel:
        from shared.encoder import pairs  # noqa: PLC0415 - torch; in the thread that loads

        return pairs.load(directory, remember=settings.remember)

    return Reranker(settings, load_pairs)
