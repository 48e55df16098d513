"""Wires the search worker: model, shards, log, and the routes before them."""

from functools import partial
from uuid import uuid4

from schemas.alerts import Alert
from services.search.api import SearchApi, mount
from services.search.embedding import QueryVectors
from services.search.engine import Parts, SearchEngine
from services.search.generation import Generations
from services.search.last_stage import LastStage
from services.search.log import QueryLog
from services.search.owners import Owners
from services.search.settings import LastStageSettings, Settings
from services.search.shards import ShardClient
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.clock import SystemClock
from shared.compacted import CompactedTopic
from shared.encoder import load
from shared.generation_parts import GenerationParts
from shared.generations import Generation
from shared.ports import PairModel
from shared.rollout_log import RolloutLog
from shared.standing import Standings
from shared.worker import Worker

NAME = "search"


def build(settings: Settings) -> Worker:
    """Return the search worker, ready to run."""
    worker = Worker(NAME, settings, port=settings.search.port)
    section, redis = settings.search, connect(settings)
    publisher = KafkaPublisher(settings)
    log = QueryLog(publisher, capacity=section.log_capacity)
    rollouts, alerts = RolloutLog(settings), CompactedTopic(settings, Alert.topic)

    def encoder(generation: Generation) -> QueryVectors:
        model = generation.settings(settings).model
        return QueryVectors(partial(load, model, generation.model), remember=section.cached_queries)

    encoders = GenerationParts(
        rollouts, encoder, Standings(redis, settings, worker=NAME, clock=SystemClock())
    )
    shards = ShardClient(hedge_after=section.hedge_after)
    parts = Parts(
        generations=Generations(rollouts, encoders, alerts.items),
        owners=Owners(redis, settings.namespace, ttl=section.owners_ttl),
        shards=shards,
        new_id=lambda: uuid4().hex,
        last_stage=_last_stage(section.last_stage),
    )
    engine = SearchEngine(section, parts)
    for part in (Connection(redis), publisher, log, shards, rollouts, alerts, encoders, parts.last_stage):
        if part is not None:
            worker.add(part)
    worker.ready("model", parts.generations.missing)
    mount(worker.api, SearchApi(section, engine, log, clock=SystemClock()), section)
    return worker


def _last_stage(settings: LastStageSettings) -> LastStage | None:
    directory = settings.model
    if directory is None:
        return None

    def load_pairs() -> PairModel:
        from shared.encoder import pairs  # noqa: PLC0415 - torch; in the thread that loads

        return pairs.load(directory, remember=settings.remember)

    return LastStage(settings, load_pairs)
