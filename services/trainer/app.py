"""Wires the trainer: the registry of jobs, the runner that does them, the schedule that asks for them."""

from datetime import timedelta
from functools import partial

from redis.asyncio import Redis

from services.trainer.jobs.inputs import JobInputs
from services.trainer.jobs.registry import JobRegistry
from services.trainer.jobs.runner import PROGRAM, JobRunner
from services.trainer.jobs.schedule import Schedule
from services.trainer.settings import Settings
from shared.clock import SystemClock
from shared.cluster.lease import Lease
from shared.extras import TORCH, require
from shared.generations.rollout_log import RolloutLog
from shared.kafka.publisher import KafkaPublisher
from shared.process.periodic import Every
from shared.process.worker import Worker
from shared.state.redis import Connection, connect
from shared.streaming.heartbeat import FollowedTopics, ReaderHeartbeat

NAME = "trainer"
CLOCK_EVERY = timedelta(seconds=1)


def build(settings: Settings, *, program: str = PROGRAM) -> Worker:
    """Return the trainer, ready to run; each job is done by a process that runs `program`."""
    require("the trainer", *TORCH)
    worker = Worker(NAME, settings, port=settings.trainer.port)
    redis, clock, publisher = connect(settings), SystemClock(), KafkaPublisher(settings)
    registry, rollouts = JobRegistry(settings, publisher), RolloutLog(settings)
    inputs = JobInputs(settings, registry, rollouts)
    leases = partial(_lease, redis, settings)
    runner = JobRunner(settings, registry, inputs, leases=leases, clock=clock, program=program)
    schedule = Schedule(settings, registry, clock=clock)
    for component in (
        Connection(redis),
        publisher,
        registry,
        rollouts,
        runner,
        ReaderHeartbeat(settings, FollowedTopics(NAME, registry, rollouts), redis=redis, clock=clock),
        Every("jobs by the clock", CLOCK_EVERY, schedule.by_clock),
        Every("jobs by volume", settings.trainer.volume_every, schedule.by_volume),
    ):
        worker.add(component)
    return worker


def _lease(redis: Redis, settings: Settings, name: str) -> Lease:
    return Lease(redis, name, owner=settings.member, ttl=settings.trainer.lease)
