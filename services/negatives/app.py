"""Wires negatives: one loop over the judgements, one ticker that mines, one that watches the index."""

from functools import partial

import httpx

from schemas.judgements import Judgement
from services.negatives import facts, miner
from services.negatives.facts import Facts
from services.negatives.index_log import IndexLog
from services.negatives.miner import Index, Miner, Upkeep
from services.negatives.search_client import SearchClient
from services.negatives.settings import NegativeSettings, Settings
from services.negatives.store import Store
from shared.adapters.broker_log import BrokerLog
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import Connection, connect
from shared.announcing import LoopAnnouncer
from shared.clock import SystemClock
from shared.loop import PartitionLoop, Reading
from shared.partition_reader import BatchLimits
from shared.periodic import Every
from shared.worker import Worker

NAME = "negatives"
READING = Reading(name=NAME, topics=(Judgement.topic,), limits=BatchLimits(messages=1000))


def build(settings: Settings) -> Worker:
    """Return the negatives worker, ready to run."""
    chosen, rules = settings.negatives, settings.negatives.rules()
    worker = Worker(NAME, settings, port=chosen.port)
    redis, clock, publisher = connect(settings), SystemClock(), KafkaPublisher(settings)
    store = Store(redis, namespace=settings.namespace, partitions=settings.partitions)
    known = Facts(store, objective=rules.objective, clock=clock, published=partial(facts.published, settings))
    search = SearchClient(_client(chosen), rules=rules, asked=chosen.asked)
    mining = Miner(known, store, _index(search, chosen), publisher=publisher, clock=clock)
    tick = partial(mining.tick, rules, settle=chosen.settle, limit=chosen.queries_per_second)
    log = BrokerLog(settings)
    upkeep = Upkeep(chosen.remine_records, chosen.remine_every)
    watch = partial(mining.watch, rules, upkeep, IndexLog(log, partitions=settings.partitions))
    loop = PartitionLoop(settings, known, reading=READING, publisher=publisher, clock=clock)
    for part in (
        Connection(redis),
        publisher,
        search,
        log,
        loop,
        Every("negatives mine", miner.EVERY, tick),
        Every("negatives watch", miner.WATCH_EVERY, watch),
        LoopAnnouncer(settings, loop, redis=redis, clock=clock),
    ):
        worker.add(part)
    return worker


def _index(search: SearchClient, chosen: NegativeSettings) -> Index:
    if chosen.cross_encoder is None:
        return search
    from services.negatives import veto  # noqa: PLC0415 - torch, which only the veto needs

    return veto.Doubting(search, veto.load(chosen.cross_encoder), chosen.rules())


def _client(chosen: NegativeSettings) -> httpx.AsyncClient:
    token = chosen.search_token.get_secret_value()
    return httpx.AsyncClient(
        base_url=chosen.search_url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=chosen.search_timeout.total_seconds(),
        trust_env=False,
    )
