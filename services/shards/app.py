"""Wires the shards worker: shards of each generation, and the HTTP that answers from them."""

import sys

import faiss

from services.shards.api import Lookup, ShardQueryService, router
from services.shards.framing import FrameAnswers
from services.shards.gate import guard
from services.shards.generation import GenerationShards, remove
from services.shards.operations import ShardOperations
from services.shards.settings import Settings
from services.shards.stored import router as stored_router
from services.shards.warm_up import warm_up
from shared.clock import SystemClock
from shared.frames.protocol import PATH
from shared.frames.server import FrameService
from shared.generations.rollout_log import RolloutLog
from shared.generations.settings import generation_settings
from shared.generations.state import Generation
from shared.generations.status import GenerationStatusBoard
from shared.generations.supervisor import GenerationSupervisor, Persistence
from shared.kafka.publisher import KafkaPublisher
from shared.process.worker import Worker
from shared.state.redis import Connection, connect

NAME = "shards"
SWITCH_SECONDS = 0.0005
"""So long a thread that applies records keeps the interpreter from one that searches."""


def build(settings: Settings) -> Worker:
    """Return the worker, ready to run."""
    faiss.omp_set_num_threads(1)  # searches run side by side in threads of their own
    sys.setswitchinterval(SWITCH_SECONDS)
    warm_up(settings.shards.lexical)
    worker = Worker(NAME, settings, port=settings.shards.port)
    rollouts, redis, publisher = RolloutLog(settings), connect(settings), KafkaPublisher(settings)

    async def clear(generation: Generation) -> None:
        await remove(generation_settings(settings, generation))

    generations = GenerationSupervisor(
        rollouts,
        lambda generation: GenerationShards(
            generation_settings(settings, generation), worker=worker, publisher=publisher
        ),
        GenerationStatusBoard(redis, settings, worker=NAME, clock=SystemClock()),
        remove=clear,
        persistence=Persistence(patience=settings.generations.patience),
    )

    def shards_of(generation: str) -> Lookup | None:
        shards = generations.running.get(generation)
        return shards.handler.serving.get if shards else None

    operations = ShardOperations(lambda: generations.running)
    answers = ShardQueryService(
        shards_of, partitions=settings.partitions, threads=settings.shards.search_threads
    )
    worker.api.include_router(router(answers))
    frames = FrameService(FrameAnswers(answers).by_kind(), tokens=settings.cluster.tokens)
    worker.api.add_api_websocket_route(PATH, frames.serve)
    worker.api.include_router(stored_router(operations.root_of))
    guard(worker.api, settings)
    for component in (Connection(redis), publisher, rollouts, generations):
        worker.add(component)
    worker.ready("shards", lambda: _missing(generations, rollouts))
    worker.command("shards.snapshot", operations.snapshot)
    worker.command("shards.rebuild", operations.rebuild)
    return worker


def _missing(generations: GenerationSupervisor[GenerationShards], rollouts: RolloutLog) -> str | None:
    """Say what of the live generation has not caught up; a new one is none of a load balancer's business."""
    live = generations.running.get(rollouts.generations.live or "")
    return live.missing() if live else "the live generation is opening"
