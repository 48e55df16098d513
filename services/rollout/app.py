"""Wires the rollout worker: the log it follows, the models, and the conductor under a lease."""

from services.rollout.conductor import Conductor, Instruments
from services.rollout.evidence import Witnesses
from services.rollout.settings import Settings
from services.rollout.topics import GenerationTopics
from shared.adapters.broker_log import BrokerLog
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.clock import SystemClock
from shared.leadership import TTL, Leadership
from shared.leases import Lease
from shared.periodic import Every
from shared.rollout_log import RolloutLog
from shared.worker import Worker

NAME = "rollout"


def build(settings: Settings) -> Worker:
    """Return the rollout worker, ready to run."""
    worker = Worker(NAME, settings, port=settings.rollout.port)
    redis, publisher, edges = connect(settings), KafkaPublisher(settings), BrokerLog(settings)
    rollouts = RolloutLog(settings)
    lease = Lease(redis, f"{settings.namespace}:{NAME}", owner=worker.instance, ttl=TTL)
    leadership = Leadership(lease)
    instruments = Instruments(
        rollouts=rollouts,
        witnesses=Witnesses(redis, settings),
        topics=GenerationTopics(settings),
        edges=edges,
        publisher=publisher,
        clock=SystemClock(),
    )
    conductor = Conductor(settings, instruments)
    looks = Every("conduct", settings.rollout.look_every, leadership.led(conductor.look))
    for part in (Connection(redis), publisher, edges, rollouts, leadership, looks):
        worker.add(part)
    return worker
