"""Loads a catalogue through its topic, and measures how soon a change is found by search."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from rich.progress import Progress

from headrace.search_api import SearchClient
from schemas.catalogue import ProductChange
from schemas.search_api import ProductResponse
from services.lab.arrival import is_written, last_of_each_partition
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from shared.clock import SystemClock
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.errors import TransientError
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.records import Outgoing
from shared.settings import Settings
from shared.state.redis import connect

BATCH = 500
SAMPLE = 40
STALLED_SECONDS = 180.0
"""A load that makes no progress for so long has failed."""
POLL_SECONDS = 0.1
CHANGE_SECONDS = 30.0
LIVE_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a load; `seconds` is 0 when everything was there already."""

    products: int
    seconds: float
    others: int
    freshness: tuple[float, float] | None = None

    def rows(self) -> list[ReportRow]:
        """Return documents a second and the freshness of the load; nothing when nothing was loaded."""
        if not self.seconds:
            return []
        figures = [
            ReportRow("documents", self.products / self.seconds, "1/s", note="published to all searchable"),
        ]
        if self.freshness:
            note = "the load, last 1,000 of a shard; the worst shard"
            figures.append(ReportRow("load freshness p50", self.freshness[0], "s", note=note))
            figures.append(ReportRow("load freshness p99", self.freshness[1], "s", note=note))
        return figures


def load(
    settings: Settings, client: SearchClient, catalogue: GradedCatalogue, *, progress: Progress
) -> Loaded:
    """Write the catalogue to its topic unless it is there, and return when all of it can be searched."""
    before = sum(owner.documents for owner in owners(settings))
    if before >= len(catalogue.products) and _all_there(client, catalogue):
        return Loaded(before, 0.0, before - len(catalogue.products))
    version = int(SystemClock().now().timestamp() * 1000)
    published = progress.add_task("published", total=len(catalogue.products))
    searchable = progress.add_task("searchable", total=len(catalogue.products))
    began = time.monotonic()

    def changes() -> Iterable[ProductChange]:
        for product in catalogue.products:
            progress.advance(published)
            yield product.change(version, SystemClock().now())

    asyncio.run(publish(settings, changes()))
    last = last_of_each_partition(catalogue.products, settings.partitions)
    _wait(settings, client, last, version, lambda done: progress.update(searchable, completed=done))
    seconds = time.monotonic() - began
    owners_now = owners(settings)
    progress.update(searchable, completed=len(catalogue.products))
    return Loaded(
        len(catalogue.products),
        seconds,
        max(0, sum(owner.documents for owner in owners_now) - len(catalogue.products)),
        _freshness(owners_now),
    )


async def publish(settings: Settings, changes: Iterable[ProductChange]) -> None:
    """Write changes in order, acknowledged."""
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        batch: list[Outgoing] = []
        for change in changes:
            batch.append(outgoing(change))
            if len(batch) >= BATCH:
                await publisher.publish(batch)
                batch = []
        await publisher.publish(batch)
    finally:
        await publisher.stop()


def owners(settings: Settings) -> list[OwnerRecord]:
    """Return what the owners of the shards say now."""

    async def read() -> list[OwnerRecord]:
        redis = connect(settings)
        try:
            return await OwnerRegistry(redis, settings.namespace, settings.generation).owners()
        finally:
            await redis.aclose()

    return asyncio.run(read())


def live_changes(
    settings: Settings, client: SearchClient, count: int, *, progress: Progress
) -> list[ReportRow]:
    """Write products one by one and delete them again; return how long until search shows it."""
    bar = progress.add_task("live changes", total=count)
    written, deleted = asyncio.run(_live(settings, client, count, lambda: progress.advance(bar)))
    note = "one change at a time, publish to found by search"
    return [
        ReportRow("freshness p50", quantile(written, 0.5) * 1000, "ms", note=note),
        ReportRow("freshness p99", quantile(written, 0.99) * 1000, "ms", note=note),
        ReportRow("delete p99", quantile(deleted, 0.99) * 1000, "ms", note="publish to gone from search"),
    ]


async def _live(
    settings: Settings, client: SearchClient, count: int, advance: Callable[[], None]
) -> tuple[list[float], list[float]]:
    publisher, clock = KafkaPublisher(settings), SystemClock()
    await publisher.start()
    written: list[float] = []
    deleted: list[float] = []
    try:
        for _ in range(count):
            word = f"probe{uuid4().hex[:10]}"
            now = clock.now()
            version = int(now.timestamp() * 1000)
            change = ProductChange(
                product_id=word, op="upsert", version=version, event_time=now, fields={"title": word}
            )
            written.append(await _until_seen(publisher, client, change, word, present=True))
            removal = change.model_copy(update={"op": "delete", "version": version + 1, "fields": {}})
            deleted.append(await _until_seen(publisher, client, removal, word, present=False))
            advance()
    finally:
        await publisher.stop()
    return written, deleted


async def _until_seen(
    publisher: KafkaPublisher, client: SearchClient, change: ProductChange, word: str, *, present: bool
) -> float:
    began = time.monotonic()
    await publisher.publish([outgoing(change)])
    while time.monotonic() - began < CHANGE_SECONDS:
        answer = await asyncio.to_thread(client.search, word, k=1, mode="lexical", fields=(), log=False)
        if any(hit.product_id == word for hit in answer.hits) == present:
            return time.monotonic() - began
        await asyncio.sleep(LIVE_POLL_SECONDS)
    raise TransientError(f"the change of {word} was not seen by search within {CHANGE_SECONDS:g} s")


def _wait(
    settings: Settings,
    client: SearchClient,
    last: Sequence[str],
    version: int,
    show: Callable[[int], None],
) -> None:
    """Return when the last product of every partition is there; each partition is worked off in order."""
    absent, progress, moved_at = list(last), -1, time.monotonic()
    while absent:
        absent = [
            product_id for product_id in absent if not is_written(_product(client, product_id), version)
        ]
        documents = sum(owner.next_offset for owner in owners(settings))
        show(documents)
        if documents != progress:
            progress, moved_at = documents, time.monotonic()
        if time.monotonic() - moved_at > STALLED_SECONDS:
            raise TransientError(f"nothing was indexed for {STALLED_SECONDS:g} s; waiting for {absent[0]}")
        time.sleep(POLL_SECONDS)


def _product(client: SearchClient, product_id: str) -> ProductResponse | None:
    """Return the product; None as well while its shard is too busy to answer."""
    try:
        return client.product(product_id)
    except TransientError:
        return None


def _all_there(client: SearchClient, catalogue: GradedCatalogue) -> bool:
    """Look for products from all over the catalogue."""
    step = max(1, len(catalogue.products) // SAMPLE)
    return all(client.product(product.id) is not None for product in catalogue.products[::step])


def _freshness(owners_now: Sequence[OwnerRecord]) -> tuple[float, float] | None:
    middle = [owner.freshness_p50 for owner in owners_now if owner.freshness_p50 is not None]
    worst = [owner.freshness_p99 for owner in owners_now if owner.freshness_p99 is not None]
    return (max(middle), max(worst)) if middle and worst else None


def quantile(values: Sequence[float], share: float) -> float:
    """Return that quantile of the values (the next one above), 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
