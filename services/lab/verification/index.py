"""The index against the catalogue: every shard, every product, every field, version and vector."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import orjson
from pydantic import ValidationError

from schemas.catalogue import Document, ProductChange
from schemas.index import AttributeRecord, IndexRecord, read_record
from schemas.topics import DEAD_LETTER_SUFFIX, index_records
from services.embedder.settings import Settings
from services.lab.verification.catalogue import ExpectedCatalogue
from services.lab.verification.verdict import (
    VerificationResult,
    held_back,
    retention_gaps,
    settled,
    strangers,
)
from services.shards.domain.apply import supersedes
from shared.catalogue.changes import ChangeReader
from shared.catalogue.summaries import summaries
from shared.clock import SystemClock
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.state.redis import connect
from shared.streaming.acceptance_log import read_acceptances

DUMP_SECONDS = 120.0

Live = dict[str, dict[str, Any]]  # Any: JSON


class VectorState(NamedTuple):
    """What the last index record of a product says of its vectors."""

    epoch: int
    content_hash: str
    passages: list[list[int]]
    vectors_sha256: str


@dataclass(slots=True)
class IndexReplay:
    """The index records read so far, each product's last one by the shards' own rule."""

    last: dict[str, VectorState | None] = field(default_factory=dict)
    read: int = 0
    strange: list[str] = field(default_factory=list)
    """Where records lie that cannot be used: shards put them into the dead letters."""
    models: dict[int, str] = field(default_factory=dict)
    """The fingerprint of each partition: that of its first record."""

    def take(self, record: Record) -> None:
        """Take one record, in log order within its partition."""
        self.read += 1
        if record.value is None:
            self.last[(record.key or b"").decode(errors="replace")] = None
            return
        try:
            message = read_record(record.value)
        except ValidationError:
            self.strange.append(f"{record.partition} @ {record.offset}")
            return
        if message.fingerprint != self.models.setdefault(record.partition.number, message.fingerprint):
            self.strange.append(f"{record.partition} @ {record.offset}")
            return
        before = self.last.get(message.product_id)
        if isinstance(message, AttributeRecord):
            if before is not None and message.belongs_to(before.content_hash, before.epoch):
                self.last[message.product_id] = before._replace(epoch=message.epoch)
            return
        if not supersedes(message.epoch, before and before.epoch):
            return
        passages = [[passage.start, passage.end] for passage in message.passages]
        digest = hashlib.sha256(message.vectors).hexdigest()
        self.last[message.product_id] = VectorState(message.epoch, message.content_hash, passages, digest)


async def verify_index(settings: Settings, wait: timedelta) -> VerificationResult:
    """Compare what the shards serve with what the topics say; raises `TransientError` without a broker."""
    changes, letters = ProductChange.topic, ProductChange.topic + DEAD_LETTER_SUFFIX
    records = index_records(settings.generation).name
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(
            TopicReader(settings, [changes, letters, records], damaged=[changes])
        )
        client = await stack.enter_async_context(
            httpx.AsyncClient(timeout=DUMP_SECONDS, headers=settings.cluster.headers, trust_env=False)
        )
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        registry = OwnerRegistry(redis, settings.namespace, settings.generation)
        schemas = SchemaDeserializer.of(settings.registry, clock=SystemClock())
        stack.push_async_callback(schemas.aclose)
        catalogue = ExpectedCatalogue(settings.embedder, ChangeReader(settings.catalogue.parts))
        written = IndexReplay()
        take = {letters: catalogue.letters.take, records: written.take}

        async def look() -> VerificationResult:
            acceptances = (await read_acceptances(settings)).known
            if acceptances != catalogue.reader.acceptances:
                catalogue.begin(acceptances)
                reader.rewind(changes)
            async for record in reader.news():
                if record.partition.topic == changes:
                    catalogue.take(record, await schemas.schemas_of([record]))
                else:
                    take[record.partition.topic](record)
            shards = _Shards(registry, client, settings.generation)
            verdict = await _compare(reader, catalogue, written, shards)
            return replace(verdict, notes=[*verdict.notes, *held_back(await reader.open_transactions())])

        return await settled(look, wait)


class _Shards:
    """The live shards, whoever owns them now."""

    def __init__(self, registry: OwnerRegistry, client: httpx.AsyncClient, generation: str) -> None:
        self._registry = registry
        self._client = client
        self._generation = generation

    async def dump(self, partitions: int) -> tuple[Live, list[str]]:
        """Return every product that is served, and what keeps a shard from being asked."""
        announced = sorted(await self._registry.owners(), key=lambda owner: owner.epoch)
        owners = {owner.partition: owner for owner in announced}  # of two the newer, the other lets go
        live, faults = Live(), []
        for number in range(partitions):
            owner = owners.get(number)
            if owner is None:
                faults.append(f"shard {number}: nobody serves it")
                continue
            try:
                live |= await self._dump(owner)
            except (httpx.HTTPError, orjson.JSONDecodeError) as error:
                faults.append(f"shard {number}: {owner.url} does not say what it has: {error!r}")
        return live, faults

    async def _dump(self, owner: OwnerRecord) -> Live:
        parameters = {"generation": self._generation, "partition": str(owner.partition)}
        answer = (await self._client.get(f"{owner.url}/dump", params=parameters)).raise_for_status()
        products = (orjson.loads(line) for line in answer.content.splitlines())
        return {product["product_id"]: product for product in products}


async def _compare(
    reader: TopicReader, catalogue: ExpectedCatalogue, written: IndexReplay, shards: _Shards
) -> VerificationResult:
    topics = {partition.topic for partition in reader.beginnings}
    shard_topic = next((topic for topic in topics if topic.startswith(IndexRecord.topic)), "")
    partitions = sum(partition.topic == shard_topic for partition in reader.beginnings)
    live, differences = await shards.dump(partitions)
    of_changes = {at: begin for at, begin in reader.beginnings.items() if at.topic == ProductChange.topic}
    differences += [] if of_changes else [f"there is no topic {ProductChange.topic}"]
    differences += [] if partitions else ["there is no topic of index records"]
    differences += retention_gaps(of_changes)
    differences += catalogue.letters.differences(of_changes)
    differences += product_differences(catalogue, written, live)
    figures = {
        "changes": catalogue.changes,
        "products": len(catalogue.documents),
        "shards": partitions,
        "index records": written.read,
        "dead letters": len(catalogue.letters.written),
    }
    return VerificationResult(differences, figures, [*_notes(catalogue), *strangers(written.strange)])


def product_differences(catalogue: ExpectedCatalogue, written: IndexReplay, live: Live) -> Iterator[str]:
    """Say how each served product differs from its changes, and from its last index record."""
    documents = catalogue.documents
    for product_id in sorted(documents.keys() | live.keys()):
        served = live.get(product_id)
        for difference in _product(catalogue, documents.get(product_id), served):
            yield f"product {product_id}: {difference}"
        if served is not None:
            for difference in _vectors(written.last.get(product_id), served):
                yield f"product {product_id}: {difference}"


def _product(
    catalogue: ExpectedCatalogue, document: Document | None, live: Mapping[str, Any] | None
) -> Iterator[str]:
    """Say how a served product differs from its changes; Any: JSON."""
    if document is None or live is None:
        yield "in the catalogue, not in the index" if live is None else "in the index, not in the catalogue"
        return
    expected = orjson.loads(orjson.dumps(document.fields))
    for name in sorted(expected.keys() | live["fields"].keys()):
        expected_value, served_value = _shown(expected, name), _shown(live["fields"], name)
        if expected_value != served_value:
            yield f"{name} is {served_value}, its changes say {expected_value}"
    if "revisions" in live:  # what an earlier release indexed says its versions in another way
        yield from _revisions(summaries(document), live["revisions"])
    if not catalogue.is_hash_of(live["content_hash"], document):
        expected_hash = catalogue.content_hash(document, passages=len(live["passages"]))
        yield f"embedded from a text of hash {live['content_hash']}, its text has {expected_hash}"


def _revisions(expected: Sequence[Mapping[str, Any]], served: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say which changes one of the two does not know; Any: JSON."""
    for revision in orjson.loads(orjson.dumps(expected)):
        if revision not in served:
            yield f"it does not know the {revision['op']} of version {revision['line']} {revision['version']}"
    if len(served) > len(expected):
        yield f"it is the merge of {len(served)} changes, not {len(expected)}"


def _vectors(last: VectorState | None, live: Mapping[str, Any]) -> Iterator[str]:
    """Say how a served product differs from its last index record; Any: JSON."""
    if last is None:
        yield "served, without an index record"
        return
    if live["content_hash"] != last.content_hash:
        yield "its content hash is not that of its last index record"
    if live["passages"] != last.passages:
        yield "its passages are not those of its last index record"
    if live["vectors_sha256"] != last.vectors_sha256:
        yield "its vectors are not those of its last index record"


def _shown(fields: Mapping[str, Any], name: str) -> str:  # Any: JSON
    if name not in fields:
        return "absent"
    return orjson.dumps(fields[name], option=orjson.OPT_SORT_KEYS).decode()


def _notes(catalogue: ExpectedCatalogue) -> list[str]:
    notes = []
    if catalogue.letters.again:
        notes.append(f"{catalogue.letters.again} dead letters were written again after a kill")
    return notes
