"""A handler on a real Redis, with a bus that is a list."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from schemas.catalogue import StampedChange
from schemas.index import AnyRecord, IndexRecord, read_record
from services.embedder.backfill import Backfill
from services.embedder.domain.plan import EmbeddingRecipe
from services.embedder.domain.recovery import APPLIED, Published
from services.embedder.handler import EmbedderHandler
from services.embedder.home import LOGS
from services.embedder.ports import Ports
from services.embedder.settings import EmbedderSettings
from services.embedder.sources import AcceptedSources
from services.embedder.store import DocumentStore
from services.embedder.texts import TextIndex
from services.embedder.writer import RecordWriter
from shared.catalogue.documents import absorb
from shared.clock import SystemClock
from shared.encoder.batcher import CoalescingEncoder
from shared.encoder.passages import PassageCutter
from shared.errors import TransientError
from shared.records import Batch, Outgoing, Partition, Record
from shared.testing.encoder import FakeEncoder
from tests import stamped

START = datetime(2026, 1, 1, tzinfo=UTC)
HOME = 0
PARTITION, FORWARDED = (Partition(topic, HOME) for topic in LOGS)


@dataclass
class Bus:
    """Keeps what is published; only `survive` of the next publish arrive, then it fails."""

    log: list[Outgoing] = field(default_factory=list)
    survive: set[int] | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.survive is None:
            self.log += messages
            return
        self.log += [message for number, message in enumerate(messages) if number in self.survive]
        self.survive = None
        raise TransientError("the broker went away")

    async def scan(self, number: int, begin: int = 0) -> AsyncIterator[Published]:
        for offset, message in enumerate(self._partition(number)):
            if offset >= begin and message.value is not None:
                yield Published(message.value, dict(message.headers).get(APPLIED), offset)

    async def end(self, number: int) -> int:
        return len(self._partition(number))

    def _partition(self, number: int) -> list[Outgoing]:
        return [message for message in self.log if message.partition == number]

    @property
    def written(self) -> list[AnyRecord]:
        published = [one.value for one in self.log if one.topic.startswith("index.")]
        return [read_record(value) for value in published if value]

    @property
    def records(self) -> list[IndexRecord]:
        """After each record, the product as a shard has it that counts them all."""
        return [whole for _, whole in self._wholes() if whole is not None]

    @property
    def latest(self) -> dict[str, IndexRecord]:
        """What a shard keeps."""
        kept: dict[str, IndexRecord] = {}
        for record, whole in self._wholes():
            known = kept.get(record.product_id)
            if whole is not None and (known is None or known.epoch <= record.epoch):
                kept[record.product_id] = whole
        return kept

    def _wholes(self) -> Iterator[tuple[AnyRecord, IndexRecord | None]]:
        wholes: dict[str, IndexRecord] = {}
        for record in self.written:
            known = wholes.get(record.product_id)
            if isinstance(record, IndexRecord):
                whole = record
            elif known is None or not record.belongs_to(known.content_hash, known.epoch):
                yield record, None
                continue
            else:
                names = ("source", "epoch", "event_time")
                document = absorb(known.document, record.changes)
                whole = known.model_copy(
                    update={"document": document, **{name: getattr(record, name) for name in names}}
                )
            if known is None or known.epoch <= record.epoch:
                wholes[record.product_id] = whole
            yield record, whole


@dataclass
class Bench:
    """Everything that a handler test touches; `handler()` is a new process on the same Redis and bus."""

    redis: Redis
    store: DocumentStore
    encoder: FakeEncoder
    front: CoalescingEncoder
    bus: Bus = field(default_factory=Bus)
    settings: EmbedderSettings = field(default_factory=EmbedderSettings)
    sources: AcceptedSources | None = None
    live: bool = False
    """Whether it says what its texts are like."""

    def handler(self, source: Bus | None = None, *, homes: int = 1) -> EmbedderHandler:
        recipe = EmbeddingRecipe(
            templates=self.settings.text,
            cut=PassageCutter(
                self.settings.cut, self.encoder.count_tokens, longest=self.encoder.document_tokens
            ),
            fingerprint=self.encoder.fingerprint,
            dimensions=self.encoder.dimensions,
        )
        store = self.store
        texts = TextIndex(self.redis, store.namespace, store.generation, homes=homes, recipe=recipe)
        writer = RecordWriter(store, self.front, self.bus, texts=texts, generation="g1")
        writer.live = self.live
        ports = Ports(
            store=self.store,
            writer=writer,
            records=self.bus,
            clock=SystemClock(),
            homes=homes,
            sources=self.sources,
            backfill=Backfill(source, self.store, writer) if source else None,
        )
        return EmbedderHandler(ports)


def change(product_id: str, op: str, version: int, **fields: object) -> StampedChange:
    return stamped.change(op, version, product_id, **fields)


def batch(first: int, *changes: StampedChange, at: Partition = PARTITION) -> Batch[StampedChange]:
    messages = [
        (Record(at, first + number, change.product_id.encode(), b"", START), change)
        for number, change in enumerate(changes)
    ]
    return Batch(messages, first + len(changes))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def store(redis: Redis, namespace: str) -> DocumentStore:
    return DocumentStore(redis, namespace=namespace, generation="g1")


@pytest.fixture
async def bench(redis: Redis, store: DocumentStore) -> AsyncIterator[Bench]:
    encoder = FakeEncoder()
    front = CoalescingEncoder(encoder)
    await front.start()
    yield Bench(redis, store, encoder, front)
    await front.stop()


@pytest.fixture
async def candidate(redis: Redis, namespace: str) -> AsyncIterator[Bench]:
    """Provide a second generation, of another model."""
    encoder = FakeEncoder(48, model="candidate")
    front = CoalescingEncoder(encoder)
    await front.start()
    yield Bench(redis, DocumentStore(redis, namespace, generation="g2"), encoder, front)
    await front.stop()


@pytest.fixture
def forget(redis: Redis, namespace: str) -> Callable[[], object]:
    """Empty our part of Redis, as a lost disk does."""

    async def forget() -> None:
        if keys := [key async for key in redis.scan_iter(f"{namespace}:*")]:
            await redis.delete(*keys)

    return forget
