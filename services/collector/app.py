"""Wires the collector: one publisher, one log before it, and the routes."""

from schemas.search import SearchEvent
from services.collector.api import CollectorApi, mount
from services.collector.log import AcknowledgedLog
from services.collector.settings import Settings
from shared.clock import SystemClock
from shared.kafka.publisher import KafkaPublisher
from shared.process.worker import Worker
from shared.state.redis import Connection, connect
from shared.streaming.heartbeat import ReaderHeartbeat, WrittenTopics

NAME = "collector"


def build(settings: Settings) -> Worker:
    """Return the collector, ready to run."""
    section, clock = settings.collector, SystemClock()
    worker = Worker(NAME, settings, port=section.port)
    redis, publisher = connect(settings), KafkaPublisher(settings)
    log = AcknowledgedLog(publisher, within=section.acknowledged_within)
    heartbeat = ReaderHeartbeat(settings, WrittenTopics(NAME, SearchEvent.topic), redis=redis, clock=clock)
    for component in (Connection(redis), publisher, log, heartbeat):
        worker.add(component)
    routes = CollectorApi(section, log, parts=settings.catalogue.parts, clock=clock)
    mount(worker.api, routes, section, host=settings.host)
    return worker
