"""Wires the monitor: five watches under one lease, one counter of answers, two pages to look at."""

from datetime import timedelta
from functools import partial

from fastapi import FastAPI
from redis.asyncio import Redis

from schemas.alerts import Alert
from schemas.judgements import Canary
from schemas.search import SearchQuery
from services.monitor.alerts import AlertBook
from services.monitor.bulletin import Bulletin
from services.monitor.canaries import CanaryWatch
from services.monitor.canary_book import CanaryBook
from services.monitor.canary_run import Instruments
from services.monitor.canary_store import CanaryStore
from services.monitor.drift import READING as DRIFT_READING
from services.monitor.drift import TOPICS as DRIFT_TOPICS
from services.monitor.drift import DriftWatch, Sources
from services.monitor.drift_probes import Probes
from services.monitor.drift_reading import TallyKeeper
from services.monitor.drift_store import DriftStore
from services.monitor.generations import Generations
from services.monitor.queries import AnswerCounter, AnswerWatch
from services.monitor.readers import ReaderWatch
from services.monitor.search_client import SearchClient
from services.monitor.settings import Settings
from services.monitor.shards import ShardWatch
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.announcing import LoopAnnouncer
from shared.clock import SystemClock
from shared.compacted import CompactedTopic
from shared.dead_letters import DeadLetters
from shared.leadership import TTL, Leadership, Look
from shared.leases import Lease
from shared.loop import PartitionLoop, Reading
from shared.partition_reader import BatchLimits
from shared.periodic import Every
from shared.registry import Readers
from shared.rollout_log import RolloutLog
from shared.worker import Part, Worker

CANARIES_EVERY = timedelta(milliseconds=500)
BULLETIN_EVERY = timedelta(seconds=5)
NAME = "monitor"
READING = Reading(name=NAME, topics=(SearchQuery.topic,))
SELDOM = BatchLimits(messages=2000, poll=timedelta(seconds=2))
"""A window's tally is written back whole with every batch."""


def build(settings: Settings) -> Worker:
    """Return the monitor, ready to run."""
    worker = Worker(NAME, settings, port=settings.monitor.port)
    redis, clock = connect(settings), SystemClock()
    publisher, namespace = KafkaPublisher(settings), settings.namespace
    rollouts = RolloutLog(settings)
    generations = Generations(redis, namespace=namespace, state=lambda: rollouts.generations, clock=clock)
    alerts = AlertBook(redis, publisher, namespace=namespace, clock=clock)
    topics = alerts_topic, canaries_topic = [CompactedTopic(settings, each.topic) for each in (Alert, Canary)]
    leadership = Leadership(Lease(redis, f"{namespace}:{NAME}", owner=worker.instance, ttl=TTL))
    counter = AnswerCounter(redis, namespace=namespace, rule=settings.monitor.answers_rule, clock=clock)
    letters = DeadLetters(publisher, reader=NAME, by=CanaryBook)
    instruments = Instruments(
        book=CanaryBook(canaries_topic, letters, redis, namespace=namespace),
        store=partial(CanaryStore, redis, namespace),
        search=_search(settings),
        generations=generations,
        alerts=alerts,
        clock=clock,
    )
    bulletin = Bulletin(alerts_topic, alerts, generations)
    canaries = CanaryWatch(settings, instruments)
    drift, tallying = _drift(settings, redis, instruments, publisher=publisher)
    counting = PartitionLoop(settings, counter, reading=READING, publisher=publisher, clock=clock)
    parts: list[Part] = [Connection(redis), publisher, rollouts, *topics, instruments.search, leadership]
    for part in [*parts, counting, *tallying]:
        worker.add(part)
    for name, (look, every) in {
        "alerts": (bulletin.look, BULLETIN_EVERY),
        "canaries": (canaries.look, CANARIES_EVERY),
        "drift": (drift.look, settings.monitor.drift.every),
        **_other_looks(settings, instruments, redis=redis, counter=counter),
    }.items():
        worker.add(Every(f"watch {name}", every, leadership.led(look)))
    worker.command("canaries.run", canaries.request)
    add_pages(worker.api, bulletin, canaries)
    worker.api.add_api_route("/drift", drift.standing)
    return worker


def _drift(
    settings: Settings, redis: Redis, instruments: Instruments, *, publisher: KafkaPublisher
) -> tuple[DriftWatch, list[Part]]:
    """Return the watch over drift, and the parts that tally for it."""
    clock, namespace = instruments.clock, settings.namespace
    keeper = TallyKeeper(
        redis,
        namespace=namespace,
        settings=settings.monitor.drift,
        generations=instruments.generations,
        clock=clock,
    )
    loop = PartitionLoop(
        settings,
        keeper,
        reading=Reading(name=DRIFT_READING, topics=DRIFT_TOPICS, limits=SELDOM),
        publisher=publisher,
        clock=clock,
    )
    sources = Sources(
        keeper=keeper,
        readers=Readers(redis, namespace, DRIFT_READING),
        store=DriftStore(redis, namespace=namespace),
        probes=Probes(settings, instruments),
    )
    watch = DriftWatch(settings, sources, instruments, publisher=publisher)
    return watch, [loop, LoopAnnouncer(settings, loop, redis=redis, clock=clock)]


def _other_looks(
    settings: Settings, instruments: Instruments, *, redis: Redis, counter: AnswerCounter
) -> dict[str, tuple[Look, timedelta]]:
    """Return what else is looked at, and how often."""
    alerts, generations, clock = instruments.alerts, instruments.generations, instruments.clock
    shards = ShardWatch(settings, generations, alerts, clock=clock)
    readers = ReaderWatch(settings, redis, generations=generations, alerts=alerts, clock=clock)
    answers = AnswerWatch(settings, counter, alerts, clock=clock)
    watched = settings.monitor
    return {
        "shards": (shards.look, watched.shards_every),
        "readers": (readers.look, watched.shards_every),
        "answers": (answers.look, watched.answers_every),
    }


def add_pages(api: FastAPI, bulletin: Bulletin, watch: CanaryWatch) -> None:
    """Add `GET /alerts` (open ones, of every worker) and `GET /canaries` (last results)."""

    @api.get("/alerts")
    async def alerts() -> dict[str, object]:
        return {"alerts": [alert.model_dump(mode="json") for alert in bulletin.open()]}

    @api.get("/canaries")
    async def canaries() -> dict[str, object]:
        return {"canaries": [result.model_dump(mode="json") for result in await watch.results()]}


def _search(settings: Settings) -> SearchClient:
    watched = settings.monitor
    return SearchClient(
        watched.search_url,
        token=watched.search_token.get_secret_value(),
        timeout=watched.search_timeout,
        concurrency=watched.concurrency,
    )
