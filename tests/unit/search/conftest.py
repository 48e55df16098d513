"""A search API before real shards, all in one process: HTTP goes through ASGI, owners are what we say."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from schemas.base import Coordinates
from schemas.control import TrialTerms
from schemas.index import IndexRecord, Passage
from services.search.api import SearchApi, mount
from services.search.embedding import QueryVectors
from services.search.engine import SearchDependencies, SearchEngine
from services.search.log import QueryLog
from services.search.settings import SearchSettings
from services.search.shards import ShardClient
from services.search.written import WrittenChanges
from services.shards.api import ShardQueryService, router
from services.shards.domain.manifest import RecoveryCriteria
from services.shards.files import Files
from services.shards.framing import FrameAnswers
from services.shards.records import entry
from services.shards.serving import Serving
from services.shards.settings import ShardsSettings
from services.shards.shard import Identity, Shard
from shared.cluster.members import OwnerRecord
from shared.errors import TransientError
from shared.frames.client import PeerError
from shared.frames.protocol import Frame, FrameKind
from shared.frames.server import FrameService
from shared.generations.fitted import FittedParameters
from shared.generations.trial import Trial
from shared.kafka.partitioning import partition_of
from shared.records import Partition, Record
from shared.retrieval.settings import TextSettings
from tests.stamped import written

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "0123456789abcdef"
CANDIDATE_MODEL = "fedcba9876543210"
MODELS = {"g1": MODEL, "g2": CANDIDATE_MODEL}
PARTITIONS = 2
WORDS = ("shoe", "sock", "red", "blue")


class CountingEncoder:
    """A model that counts four words; real enough to tell texts apart."""

    dimensions = len(WORDS) + 1
    threads = 1
    pass_tokens = 1024

    def __init__(self, fingerprint=MODEL):
        self.fingerprint = fingerprint
        self.calls = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def encode_queries(self, texts):
        assert self.go_on.wait(60)
        self.calls += len(texts)
        return np.stack([vector_of(text, self.fingerprint) for text in texts])

    encode_documents = encode_queries


def vector_of(text, model=MODEL):
    """Return the vector of a text; the candidate's model hardly knows a shoe from a sock."""
    heard = (1, 1, 1, 1) if model == MODEL else (0.2, 0.2, 3, 3)
    counts = [text.count(word) * weight for word, weight in zip(WORDS, heard, strict=True)]
    counts = np.array([*counts, 0.1], np.float32)
    return counts / np.linalg.norm(counts)


class Collected:
    """A publisher that keeps what it is given; away while `away`."""

    def __init__(self):
        self.messages = []
        self.away = False

    async def publish(self, messages):
        if self.away:
            raise TransientError("the broker is away")
        self.messages += messages


class Neighbours(httpx.AsyncBaseTransport):
    """The network between search and shards: one ASGI app a host, some stuck until `release`, some gone."""

    def __init__(self):
        self.apps = {}
        self.frames = {}
        self.gone = set()
        self.stuck = set()
        self.release = asyncio.Event()
        self.asked = []
        self.answered = asyncio.Condition()
        self.answers = 0

    async def handle_async_request(self, request):
        host = request.url.host
        self.asked.append((host, request.url.path))
        if host in self.gone:
            raise httpx.ConnectError("connection refused", request=request)
        if host in self.stuck:
            await self.release.wait()
            raise httpx.ReadError("connection reset", request=request)
        response = await httpx.ASGITransport(self.apps[host]).handle_async_request(request)
        async with self.answered:
            self.answers += 1
            self.answered.notify_all()
        return response

    async def ask(self, url, kind, body):
        """Answer a frame, as `FrameClient` does over a connection."""
        host = httpx.URL(url).host
        self.asked.append((host, FrameKind(kind).name.lower()))
        if host in self.gone:
            raise PeerError("ConnectionRefusedError: connection refused")
        if host in self.stuck:
            await self.release.wait()
            raise PeerError("ConnectionClosedError: no close frame received or sent")
        answered, answer = await self.frames[host]._answered(Frame(0, kind, body))
        async with self.answered:
            self.answers += 1
            self.answered.notify_all()
        return Frame(0, answered, answer)

    async def stop(self):
        """Nothing is open."""


class Shop:
    """Two real shards, their owners, and the search API in front."""

    def __init__(self, place):
        self.place = place
        self.network = Neighbours()
        self.published = Collected()
        self.encoder = CountingEncoder()
        self.models = {"g1": self.encoder}
        self.owners = []
        """Of the live generation, g1."""
        self.candidate_owners = []
        """Of g2."""
        self.trial = None
        self.served = {}
        self.encoders = {}
        self.fits = {}
        self.reranker = None
        self.log = None
        self.broken = False
        self.host = "127.0.0.1"
        self.embedded = {}
        """Of homes, the first change that is not in the index."""
        self.app = None
        self.api = None
        """The API once it is open, and the way to it."""

    def shard(self, number, products, name="a", generation="g1"):
        """Serve a real shard with these products ({id: fields}) from host `name`."""
        model = MODELS[generation]
        shard = Shard.open(
            self.place / f"shard-{number}-{name}",
            Identity(generation=generation, partition=number, epoch=1),
            settings=ShardsSettings(lexical=TextSettings(title_fields=("title",), title_weight=2.0)),
            recovery=RecoveryCriteria(now=NOW, oldest=timedelta(days=7), edges=None),
            files=Files(),
        )
        log = Partition(f"index.records.{generation}", number)
        records = [
            Record(log, offset, product.encode(), _record(product, fields, model).encode(), NOW)
            for offset, (product, fields) in enumerate(products.items())
        ]
        shard.apply([entry(each) for each in records], len(records))
        serving = Serving(shard, partition=number, epoch=1, start=0, target=len(records))
        self.served.setdefault(name, {})[number] = serving
        if name not in self.network.apps:
            lookup = self.served[name].get
            app = FastAPI()
            answers = ShardQueryService({generation: lookup}.get, partitions=PARTITIONS, threads=2)
            app.include_router(router(answers))
            self.network.apps[name] = app
            self.network.frames[name] = FrameService(FrameAnswers(answers).by_kind())
        owners = self.owners if generation == "g1" else self.candidate_owners
        owners.append(
            OwnerRecord(
                url=f"http://{name}",
                instance=name,
                partition=number,
                partitions=PARTITIONS,
                epoch=1,
                next_offset=len(records),
                end_offset=len(records),
                ready=True,
                fingerprint=model,
                dimensions=5,
                documents=len(records),
                updated_at=NOW,
            )
        )
        return serving

    async def of(self, generation):
        if self.broken:
            raise RuntimeError("a bug")
        return {"g1": self.owners, "g2": self.candidate_owners}.get(generation, [])

    def forget(self, generation):
        """Owners are always fresh here."""

    async def applied(self, generation, home):
        return self.embedded.get(home)

    async def end(self, generation, home):
        return self.served["a"][home].next_offset

    def choose(self, requested):
        return requested or "g1"

    def vectors(self, generation):
        return self.encoders.get(generation)

    def missing(self, generation):
        return None if generation in self.encoders else "no model is loaded"

    def fitted(self, generation):
        return self.fits.get(generation, FittedParameters())

    def now(self):
        return NOW

    def close(self):
        for shards in self.served.values():
            for serving in shards.values():
                serving.shard.close()


def _record(product, fields, model):
    vector = vector_of(str(fields.get("title", "")), model).astype(np.float16)
    return IndexRecord(
        product_id=product,
        document=written(fields),
        text=str(fields.get("title", "")),
        fingerprint=model,
        dimensions=5,
        passages=(Passage(start=0, end=1),),
        vectors=vector.tobytes(),
        source=Coordinates(topic="catalogue.changes.v1", partition=0, offset=0),
        epoch=1,
        event_time=NOW,
    )


PRODUCTS = {
    "p1": {"title": "red shoe", "price": 30.0, "brand": "Acme"},
    "p2": {"title": "blue shoe", "price": 20.0, "brand": "Acme"},
    "p3": {"title": "red sock", "price": 5.0, "brand": "Toe"},
    "p4": {"title": "blue sock", "price": 4.0, "brand": "Toe"},
    "p5": {"title": "red red shoe", "price": 90.0, "brand": "Toe"},
    "p6": {"title": "shoe shoe blue", "price": 9.0, "brand": "Acme"},
}


def home(product):
    return partition_of(product.encode(), PARTITIONS)


def of_shard(number):
    return {product: fields for product, fields in PRODUCTS.items() if home(product) == number}


@pytest.fixture
async def shop(tmp_path):
    shop = Shop(tmp_path)
    for number in range(PARTITIONS):
        shop.shard(number, of_shard(number))
    yield shop
    shop.close()


@pytest.fixture
def trial(shop):
    """Try a generation g2 of the same products: its shards, its model, and half of the sessions."""
    for number in range(PARTITIONS):
        shop.shard(number, of_shard(number), name=f"candidate-{number}", generation="g2")
    shop.models["g2"] = CountingEncoder(CANDIDATE_MODEL)
    terms = TrialTerms(share=0.5)
    shop.trial = Trial(name="trial-g2", live="g1", candidate="g2", terms=terms, began_at=NOW)
    return shop.trial


@pytest.fixture
async def pass_time(monkeypatch):
    """Return a function that lets the clock of the event loop jump, and whoever waits for it go on."""
    loop, passed = asyncio.get_running_loop(), []
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + sum(passed))
    return passed.append


@pytest.fixture
async def open_api(shop):
    """Return a function that opens the API with settings and gives a client of it."""
    opened = []

    async def open_api(**settings):
        limits = {"hedge_after": timedelta(milliseconds=50), "timeout": timedelta(minutes=1)}
        section = SearchSettings(**{**limits, **settings})
        for generation in shop.models:
            vectors = QueryVectors(partial(shop.models.get, generation), remember=section.cached_queries)
            shop.encoders[generation] = vectors
            await vectors.start()
            await vectors._loading  # the model is there
            opened.append(vectors.stop)
        shards = ShardClient(transport=shop.network, frames=shop.network)
        ids = iter(f"q{number}" for number in range(10_000))
        dependencies = SearchDependencies(
            generations=shop,
            owners=shop,
            shards=shards,
            new_id=lambda: next(ids),
            reranker=shop.reranker,
        )
        shop.log = QueryLog(shop.published, capacity=section.log_capacity)
        api = FastAPI(docs_url=None)
        written = WrittenChanges(dependencies, shop, timeout=section.timeout)
        engine = SearchEngine(section, dependencies)
        routes = SearchApi(section, engine, shop.log, written=written, clock=shop)
        mount(api, routes, section, host=shop.host)
        shop.app = api
        shop.api = httpx.ASGITransport(api, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=shop.api, base_url="http://search")
        await shop.log.start()
        opened.extend([client.aclose, shop.log.stop, shards.stop])
        return client

    yield open_api
    for close in opened:
        await close()
