"""Wires negatives: one loop over the judgements, one ticker that mines, one that watches the index."""

from functools import partial

from headrace.search_api import AsyncSearchClient
from schemas.judgements import Judgement
from services.negatives import miner
from services.negatives.domain.refresh import RefreshPolicy
from services.negatives.evidence import EvidenceHandler, published_negatives
from services.negatives.index_log import IndexLog
from services.negatives.miner import Index, Miner
from services.negatives.retriever import SearchRetriever
from services.negatives.settings import NegativeSettings, Settings
from services.negatives.store import EvidenceStore
from shared.clock import SystemClock
from shared.extras import TORCH, require
from shared.kafka.offsets import BrokerLog
from shared.kafka.publisher import KafkaPublisher
from shared.process.periodic import Every
from shared.process.worker import Worker
from shared.state.redis import Connection, connect
from shared.streaming.context import BatchLimits
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop, Subscription

NAME = "negatives"
SUBSCRIPTION = Subscription(name=NAME, topics=(Judgement.topic,), limits=BatchLimits(messages=1000))


def build(settings: Settings) -> Worker:
    """Return the negatives worker, ready to run."""
    section, rules = settings.negatives, settings.negatives.rules()
    worker = Worker(NAME, settings, port=section.port)
    redis, clock, publisher = connect(settings), SystemClock(), KafkaPublisher(settings)
    store = EvidenceStore(redis, namespace=settings.namespace, partitions=settings.partitions)
    evidence = EvidenceHandler(
        store, objective=rules.objective, clock=clock, published=partial(published_negatives, settings)
    )
    search = SearchRetriever(_client(section), rules=rules, scored_positives=section.scored_positives)
    mining = Miner(evidence, store, _index(search, section), publisher=publisher, clock=clock)
    tick = partial(mining.tick, rules, settle=section.settle, limit=section.queries_per_second)
    log = BrokerLog(settings)
    refresh = RefreshPolicy(section.remine_records, section.remine_every)
    watch = partial(mining.watch, rules, refresh, IndexLog(log, partitions=settings.partitions))
    loop = PartitionLoop(settings, evidence, subscription=SUBSCRIPTION, publisher=publisher, clock=clock)
    for component in (
        Connection(redis),
        publisher,
        search,
        log,
        loop,
        Every("negatives mine", miner.EVERY, tick),
        Every("negatives watch", miner.WATCH_EVERY, watch),
        ReaderHeartbeat(settings, loop, redis=redis, clock=clock),
    ):
        worker.add(component)
    return worker


def _index(search: SearchRetriever, section: NegativeSettings) -> Index:
    if section.cross_encoder is None:
        return search
    require("negatives.cross_encoder", *TORCH)
    from services.negatives import veto  # noqa: PLC0415 - torch, which only the veto needs

    return veto.VetoedIndex(search, veto.load(section.cross_encoder), section.rules())


def _client(section: NegativeSettings) -> AsyncSearchClient:
    return AsyncSearchClient(
        section.search_url, token=section.search_token.get_secret_value(), timeout=section.search_timeout
    )
