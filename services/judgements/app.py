"""Wires judgements: two loops (join, window), one ticker that expires and publishes, the fit, one page."""

from fastapi import FastAPI, Query

from schemas.judgements import Outcome
from schemas.search import SearchEvent, SearchQuery
from services.judgements import fitting
from services.judgements.domain.judgement import Yardstick, judge
from services.judgements.domain.query import normalise
from services.judgements.engine import Engine, build_engine
from services.judgements.publisher import EVERY
from services.judgements.settings import Settings
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.announcing import LoopAnnouncer
from shared.clock import SystemClock
from shared.loop import PartitionLoop, Reading
from shared.partition_reader import BatchLimits
from shared.periodic import Every
from shared.ports import Clock
from shared.worker import Worker

NAME = "judgements"
JOIN_BATCH = BatchLimits(messages=2000)
WINDOW_BATCH = BatchLimits(messages=1000)


def build(settings: Settings) -> Worker:
    """Return the judgements worker, ready to run."""
    worker = Worker(NAME, settings, port=settings.judgements.port)
    redis, clock, publisher = connect(settings), SystemClock(), KafkaPublisher(settings)
    engine = build_engine(settings, redis, publisher=publisher, clock=clock)
    joining = Reading(name=f"{NAME}-join", topics=(SearchQuery.topic, SearchEvent.topic), limits=JOIN_BATCH)
    counting = Reading(name=f"{NAME}-window", topics=(Outcome.topic,), limits=WINDOW_BATCH)
    windows = PartitionLoop(settings, engine.window, reading=counting, publisher=publisher, clock=clock)
    joins = PartitionLoop(settings, engine.join, reading=joining, publisher=publisher, clock=clock)
    for part in (
        Connection(redis),
        publisher,
        Every("judgements tick", EVERY, engine.ticker.tick),
        Every("judgements fit", fitting.EVERY, engine.fitting.tick),
        windows,
        joins,
        LoopAnnouncer(settings, windows, redis=redis, clock=clock),
        LoopAnnouncer(settings, joins, redis=redis, clock=clock),
    ):
        worker.add(part)
    add_page(worker.api, engine, settings=settings, clock=clock)
    return worker


def add_page(api: FastAPI, engine: Engine, *, settings: Settings, clock: Clock) -> None:
    """Add `GET /judgements?query=`: what is counted now, as it would be published now; best first."""

    @api.get("/judgements")
    async def judgements(query: str = Query(min_length=1, max_length=2048)) -> dict[str, object]:
        now, first, text = clock.now(), engine.window.first, normalise(query)
        incarnation = await engine.incarnations.current()
        by = Yardstick(
            expectations=await engine.counts.expectations(incarnation),
            objective=settings.judgements.worth(),
            first=first,
            today=engine.window.today(now),
            now=now,
        )
        found = await engine.counts.of_query(text, incarnation, first=first)
        judged = sorted((judge(pair, counts, by) for pair, counts in found.items()), key=lambda it: -it.value)
        return {"query": text, "judgements": [it.model_dump(mode="json") for it in judged]}
