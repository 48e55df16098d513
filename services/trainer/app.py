"""Wires the trainer: the book of jobs, the runner that does them, the schedule that asks for them."""

from datetime import timedelta

from services.trainer.basis import Basis
from services.trainer.jobs import JobBook
from services.trainer.runner import JobRunner
from services.trainer.schedule import Schedule
from services.trainer.settings import Settings
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.clock import SystemClock
from shared.periodic import Every
from shared.rollout_log import RolloutLog
from shared.worker import Worker

NAME = "trainer"
CLOCK_EVERY = timedelta(seconds=1)


def build(settings: Settings) -> Worker:
    """Return the trainer, ready to run."""
    worker = Worker(NAME, settings, port=settings.trainer.port)
    redis, clock, publisher = connect(settings), SystemClock(), KafkaPublisher(settings)
    book, rollouts = JobBook(settings, publisher), RolloutLog(settings)
    runner = JobRunner(settings, book, Basis(settings, book, rollouts), redis=redis, clock=clock)
    schedule = Schedule(settings, book, clock=clock)
    for part in (
        Connection(redis),
        publisher,
        book,
        rollouts,
        runner,
        Every("jobs by the clock", CLOCK_EVERY, schedule.by_clock),
        Every("jobs by volume", settings.trainer.volume_every, schedule.by_volume),
    ):
        worker.add(part)
    return worker
