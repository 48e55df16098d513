"""Wires the monitor: four watches under one lease, one counter of answers, two pages to look at."""

from datetime import timedelta

from fastapi import FastAPI

from schemas.alerts import Alert
from schemas.judgements import Canary
from schemas.search import SearchQuery
from services.monitor.alerts import AlertBook
from services.monitor.bulletin import Bulletin
from services.monitor.canaries import CanaryWatch, Instruments
from services.monitor.canary_book import CanaryBook
from services.monitor.canary_store import CanaryStore
from services.monitor.freshness import ShardWatch
from services.monitor.leadership import TTL, Leadership
from services.monitor.queries import AnswerCounter, AnswerWatch
from services.monitor.search_client import SearchClient
from services.monitor.settings import Settings
from services.monitor.watch import Watch
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.clock import SystemClock
from shared.compacted import CompactedTopic
from shared.dead_letters import DeadLetters
from shared.leases import Lease
from shared.loop import PartitionLoop, Reading
from shared.registry import Registry
from shared.worker import Worker

CANARIES_EVERY = timedelta(milliseconds=500)
BULLETIN_EVERY = timedelta(seconds=5)
NAME = "monitor"


def build(settings: Settings) -> Worker:
    """Return the monitor, ready to run."""
    worker = Worker(NAME, settings, port=settings.monitor.port)
    redis, clock = connect(settings), SystemClock()
    publisher = KafkaPublisher(settings)
    alerts = AlertBook(redis, publisher, namespace=settings.namespace, clock=clock)
    alerts_topic = CompactedTopic(settings, Alert.topic)
    canaries_topic = CompactedTopic(settings, Canary.topic)
    lease = Lease(redis, f"{settings.namespace}:{NAME}", owner=worker.instance, ttl=TTL)
    leadership = Leadership(lease)
    watched, namespace = settings.monitor, settings.namespace
    counter = AnswerCounter(redis, namespace=namespace, rule=watched.answers_rule, clock=clock)
    search = _search(settings)
    instruments = Instruments(
        book=CanaryBook(canaries_topic, DeadLetters(publisher, worker=NAME), redis, namespace=namespace),
        store=CanaryStore(redis, namespace=namespace, generation=settings.generation),
        search=search,
        registry=Registry(redis, namespace, settings.generation),
        alerts=alerts,
        clock=clock,
    )
    canaries = CanaryWatch(settings, instruments)
    shards = ShardWatch(settings, instruments.registry, alerts, clock=clock)
    answers = AnswerWatch(settings, counter, alerts, clock=clock)
    bulletin = Bulletin(alerts_topic, alerts)
    reading = Reading(name=NAME, topics=(SearchQuery.topic,))
    for part in (
        Connection(redis),
        publisher,
        alerts_topic,
        canaries_topic,
        search,
        leadership,
        PartitionLoop(settings, counter, reading=reading, publisher=publisher, clock=clock),
        Watch("alerts", bulletin.look, every=BULLETIN_EVERY, leadership=leadership),
        Watch("canaries", canaries.look, every=CANARIES_EVERY, leadership=leadership),
        Watch("shards", shards.look, every=watched.shards_every, leadership=leadership),
        Watch("answers", answers.look, every=watched.answers_every, leadership=leadership),
    ):
        worker.add(part)
    worker.command("canaries.run", canaries.request)
    add_pages(worker.api, bulletin, instruments.store)
    return worker


def add_pages(api: FastAPI, bulletin: Bulletin, store: CanaryStore) -> None:
    """Add `GET /alerts` (open ones, of every worker) and `GET /canaries` (last results)."""

    @api.get("/alerts")
    async def alerts() -> dict[str, object]:
        return {"alerts": [alert.model_dump(mode="json") for alert in bulletin.open()]}

    @api.get("/canaries")
    async def canaries() -> dict[str, object]:
        return {"canaries": [result.model_dump(mode="json") for result in await store.results()]}


def _search(settings: Settings) -> SearchClient:
    watched = settings.monitor
    return SearchClient(
        watched.search_url,
        token=watched.search_token.get_secret_value(),
        timeout=watched.search_timeout,
        concurrency=watched.concurrency,
    )
