"""Wires judgements: two loops (join, window), one ticker that expires and publishes, the fit, one page."""

from fastapi import FastAPI, Query

from schemas.judgements import Outcome
from schemas.search import SearchEvent, SearchQuery
from services.judgements import click_model as fitting
from services.judgements.domain.judgement import ScoringContext, judge
from services.judgements.engine import Engine, build_engine
from services.judgements.join import LOGS, query_of, searched
from services.judgements.outcomes import last_sequences
from services.judgements.publisher import EVERY
from services.judgements.settings import Settings
from shared.catalogue.query_text import normalise
from shared.clock import SystemClock
from shared.kafka.publisher import KafkaPublisher
from shared.ports import Clock
from shared.process.periodic import Every
from shared.process.worker import Worker
from shared.records import Record
from shared.state.redis import Connection, connect
from shared.streaming.context import BatchLimits
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop, Subscription
from shared.streaming.router import RoutedRecord, Routing

NAME = "judgements"
JOIN_BATCH = BatchLimits(messages=2000)
WINDOW_BATCH = BatchLimits(messages=1000)


def build(settings: Settings) -> Worker:
    """Return the judgements worker, ready to run."""
    worker = Worker(NAME, settings, port=settings.judgements.port)
    redis, clock, publisher = connect(settings), SystemClock(), KafkaPublisher(settings)
    engine = build_engine(
        settings, redis, publisher=publisher, clock=clock, published=last_sequences(settings)
    )
    subjects = dict.fromkeys((SearchQuery.topic, SearchEvent.topic), _subject)
    router = Routing(settings, subjects, redis=redis, publisher=publisher, clock=clock)
    joining = Subscription(
        name=f"{NAME}-join", topics=LOGS, partitions=settings.partitions, routed=True, limits=JOIN_BATCH
    )
    counting = Subscription(name=f"{NAME}-window", topics=(Outcome.topic,), limits=WINDOW_BATCH)
    windows = PartitionLoop(settings, engine.window, subscription=counting, publisher=publisher, clock=clock)
    joins = PartitionLoop(settings, engine.join, subscription=joining, publisher=publisher, clock=clock)
    for component in (
        Connection(redis),
        publisher,
        router,
        Every("judgements tick", EVERY, engine.ticker.tick),
        Every("judgements fit", fitting.EVERY, engine.fitting.tick),
        windows,
        joins,
        ReaderHeartbeat(settings, windows, redis=redis, clock=clock),
        ReaderHeartbeat(settings, joins, redis=redis, clock=clock),
    ):
        worker.add(component)
    add_page(worker.api, engine, settings=settings, clock=clock)
    return worker


def _subject(record: Record) -> RoutedRecord:
    return RoutedRecord(query_of(searched(record)))


def add_page(api: FastAPI, engine: Engine, *, settings: Settings, clock: Clock) -> None:
    """Add `GET /judgements?query=`: what is counted now, as it would be published now; best first."""

    @api.get("/judgements")
    async def judgements(query: str = Query(min_length=1, max_length=2048)) -> dict[str, object]:
        now, first, text = clock.now(), engine.window.first, normalise(query)
        incarnation = await engine.incarnations.current()
        by = ScoringContext(
            expectations=await engine.counts.expectations(incarnation),
            objective=settings.judgements.business_objective(),
            first=first,
            today=engine.window.today(now),
            now=now,
        )
        counted = await engine.counts.of_query(text, incarnation, first=first)
        judged = [judge(pair, counts, by) for pair, counts in counted.items()]
        judged.sort(key=lambda judgement: -judgement.value)
        return {"query": text, "judgements": [judgement.model_dump(mode="json") for judgement in judged]}
