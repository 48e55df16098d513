"""The index against the catalogue: every shard, every product, every field, version and vector."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import orjson

from schemas.catalogue import Document, ProductChange
from schemas.index import IndexRecord
from schemas.topics import DEAD_LETTER_SUFFIX, index_records
from services.cli.verification.catalogue import Catalogue
from services.cli.verification.verdict import Verdict, retention_gaps, settled
from services.embedder.settings import Settings
from services.shards.domain.apply import Origin, supersedes
from shared.adapters.redis import connect
from shared.records import Record
from shared.registry import OwnerRecord, Registry
from shared.topic_reader import TopicReader

DUMP_SECONDS = 120.0

Live = dict[str, dict[str, Any]]  # Any: JSON


class Embedded(NamedTuple):
    """What the last index record of a product says of its vectors."""

    origin: Origin
    content_hash: str
    passages: list[list[int]]
    vectors_sha256: str


@dataclass(slots=True)
class Records:
    """The index records read so far, each product's last one by the shards' own rule."""

    last: dict[str, Embedded | None] = field(default_factory=dict)
    read: int = 0

    def take(self, record: Record) -> None:
        """Take one record, in log order within its partition."""
        self.read += 1
        if record.value is None:
            self.last[(record.key or b"").decode("ascii", "replace")] = None
            return
        said = IndexRecord.decode(record.value)
        origin = Origin(said.source.topic, said.source.partition, said.epoch, said.source.offset)
        known = self.last.get(said.product_id)
        if not supersedes(origin, known and known.origin):
            return
        passages = [[passage.start, passage.end] for passage in said.passages]
        digest = hashlib.sha256(said.vectors).hexdigest()
        self.last[said.product_id] = Embedded(origin, said.content_hash, passages, digest)


async def verify_index(settings: Settings, wait: timedelta) -> Verdict:
    """Compare what the shards serve with what the topics say; raises `TransientError` without a broker."""
    changes, letters = ProductChange.topic, ProductChange.topic + DEAD_LETTER_SUFFIX
    records = index_records(settings.generation).name
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(TopicReader(settings, [changes, letters, records]))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=DUMP_SECONDS, trust_env=False))
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        registry = Registry(redis, settings.namespace, settings.generation)
        catalogue, written = Catalogue(settings.embedder), Records()
        take = {changes: catalogue.take, letters: catalogue.letters.take, records: written.take}

        async def look() -> Verdict:
            async for record in reader.news():
                take[record.partition.topic](record)
            return await _compare(reader, catalogue, written, _Shards(registry, client, settings.generation))

        return await settled(look, wait)


class _Shards:
    """The live shards, whoever owns them now."""

    def __init__(self, registry: Registry, client: httpx.AsyncClient, generation: str) -> None:
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
        asked = {"generation": self._generation, "partition": str(owner.partition)}
        answer = (await self._client.get(f"{owner.url}/dump", params=asked)).raise_for_status()
        products = (orjson.loads(line) for line in answer.content.splitlines())
        return {product["product_id"]: product for product in products}


async def _compare(reader: TopicReader, catalogue: Catalogue, written: Records, shards: _Shards) -> Verdict:
    topics = {partition.topic for partition in reader.beginnings}
    shard_topic = next((topic for topic in topics if topic.startswith(IndexRecord.topic)), "")
    partitions = sum(partition.topic == shard_topic for partition in reader.beginnings)
    live, differences = await shards.dump(partitions)
    documents = catalogue.documents
    of_changes = {at: begin for at, begin in reader.beginnings.items() if at.topic == ProductChange.topic}
    differences += [] if of_changes else [f"there is no topic {ProductChange.topic}"]
    differences += [] if partitions else ["there is no topic of index records"]
    differences += retention_gaps(of_changes)
    differences += catalogue.letters.differences(of_changes)
    for product_id in sorted(documents.keys() | live.keys()):
        found = _product(catalogue, documents.get(product_id), live.get(product_id))
        differences += [f"product {product_id}: {each}" for each in found]
        if product_id in live:
            found = _vectors(written.last.get(product_id), live[product_id])
            differences += [f"product {product_id}: {each}" for each in found]
    figures = {
        "changes": catalogue.changes,
        "products": len(documents),
        "shards": partitions,
        "index records": written.read,
        "dead letters": len(catalogue.letters.written),
    }
    return Verdict(differences, figures, _notes(catalogue))


def _product(
    catalogue: Catalogue, document: Document | None, live: Mapping[str, Any] | None
) -> Iterator[str]:
    """Say how a served product differs from its changes; Any: JSON."""
    if document is None or live is None:
        yield "in the catalogue, not in the index" if live is None else "in the index, not in the catalogue"
        return
    expected = orjson.loads(orjson.dumps(document.fields))
    for name in sorted(expected.keys() | live["fields"].keys()):
        wanted, served = _shown(expected, name), _shown(live["fields"], name)
        if wanted != served:
            yield f"{name} is {served}, its changes say {wanted}"
        elif document.versions.get(name) != live["versions"].get(name):
            yield f"{name} has version {live['versions'].get(name)}, not {document.versions.get(name)}"
    for name, version in (("upserted", document.upserted), ("deleted", document.deleted)):
        if live[name] != version:
            yield f"{name} at version {live[name]}, not {version}"
    if (wanted := catalogue.content_hash(document)) != live["content_hash"]:
        yield f"embedded from a text of hash {live['content_hash']}, its text has {wanted}"


def _vectors(last: Embedded | None, live: Mapping[str, Any]) -> Iterator[str]:
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


def _notes(catalogue: Catalogue) -> list[str]:
    notes = []
    if catalogue.torn:
        notes.append(f"{catalogue.torn} products are written in more than one partition, in no common order")
    if catalogue.letters.again:
        notes.append(f"{catalogue.letters.again} dead letters were written again after a kill")
    return notes
