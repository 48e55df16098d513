"""Wires the shards worker: shards of each generation, and the HTTP that answers from them."""

import faiss

from services.shards.api import Answers, Lookup, router
from services.shards.generation import GenerationShards, remove
from services.shards.settings import Settings
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.clock import SystemClock
from shared.generation_parts import GenerationParts
from shared.generations import Generation
from shared.rollout_log import RolloutLog
from shared.standing import Standings
from shared.worker import Worker

NAME = "shards"


def build(settings: Settings) -> Worker:
    """Return the worker, ready to run."""
    faiss.omp_set_num_threads(1)  # searches run side by side in threads of their own
    worker = Worker(NAME, settings, port=settings.shards.port)
    rollouts, redis, publisher = RolloutLog(settings), connect(settings), KafkaPublisher(settings)

    async def clear(generation: Generation) -> None:
        await remove(generation.settings(settings))

    generations = GenerationParts(
        rollouts,
        lambda each: GenerationShards(each.settings(settings), worker=worker, publisher=publisher),
        Standings(redis, settings, worker=NAME, clock=SystemClock()),
        remove=clear,
    )

    def shards_of(generation: str) -> Lookup | None:
        found = generations.running.get(generation)
        return found.handler.serving.get if found else None

    async def snapshot(_: object) -> None:
        for each in generations.running.values():
            await each.upkeep.save()

    answers = Answers(shards_of, partitions=settings.partitions, threads=settings.shards.search_threads)
    worker.api.include_router(router(answers))
    for part in (Connection(redis), publisher, rollouts, generations):
        worker.add(part)
    worker.ready("shards", lambda: _missing(generations, rollouts))
    worker.command("shards.snapshot", snapshot)
    return worker


def _missing(generations: GenerationParts[GenerationShards], rollouts: RolloutLog) -> str | None:
    """Say what of the live generation has not caught up; a new one is none of a load balancer's business."""
    live = generations.running.get(rollouts.generations.live or "")
    return live.missing() if live else "the live generation is opening"
