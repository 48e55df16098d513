"""How soon one change is seen by a searcher: publish, ask, ask again until it is there."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

from headrace.search_api import AsyncSearchClient, SearchUnavailableError
from schemas.base import FieldValue
from schemas.catalogue import ProductChange
from services.lab.benchmarks.loading import quantile
from services.lab.report import ReportRow
from shared.clock import SystemClock
from shared.errors import TransientError
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.records import Outgoing
from shared.settings import Settings

LONGEST_SECONDS = 30.0
POLL_SECONDS, POLL_SHARE = 0.02, 0.05
"""So often it is looked, or after that part of what was waited: more searches would be the load."""
TICKS_A_SECOND = 10
BUSY = {429, 503}
GOALS = {"freshness": (150.0, 1000.0), "price change": (None, 300.0), "delete": (None, 300.0)}
"""Milliseconds at p50 and p99."""


@dataclass(slots=True)
class Ages:
    """Seconds from publish to seen, of new products, price changes and deletes."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in GOALS})

    def rows(self, when: str = "") -> list[ReportRow]:
        """Return p50 and p99 of each kind in milliseconds; bounds are the goals, so 1 or less is good."""
        note = "publish to seen; bound: the goal"
        return [
            ReportRow(f"{name}{when} {label}", quantile(self.seconds[name], share) * 1000, "ms", goal, note)
            for name, goals in GOALS.items()
            for label, share, goal in zip(("p50", "p99"), (0.5, 0.99), goals, strict=True)
        ]


class Probe:
    """Makes one change at a time and watches for it."""

    def __init__(self, client: AsyncSearchClient, publisher: KafkaPublisher, titles: Sequence[str]) -> None:
        self._client = client
        self._publisher = publisher
        self._titles = titles
        self._clock = SystemClock()

    async def life(self, number: int, ages: Ages) -> None:
        """Write a product, change its price, delete it; note how long each took to be seen."""
        word, title = f"probe{uuid4().hex[:10]}", self._titles[number % len(self._titles)]
        now = self._clock.now()
        version = int(now.timestamp() * 1000)
        created = ProductChange(
            product_id=word,
            op="upsert",
            version=version,
            event_time=now,
            fields={"title": f"{word} {title}", "price": 1.0},
        )
        repriced = created.model_copy(
            update={"op": "patch", "version": version + 1, "fields": {"price": 2.0}}
        )
        removed = created.model_copy(update={"op": "delete", "version": version + 2, "fields": {}})
        steps = (
            (created, self._finds(word)),
            (repriced, self._costs(word, 2.0)),
            (removed, self._lost(word)),
        )
        for name, (change, seen) in zip(GOALS, steps, strict=True):
            moment = change.model_copy(update={"event_time": self._clock.now()})
            ages.seconds[name].append(await self._until(moment, seen))

    async def reprice(self, change: ProductChange, ages: Ages) -> None:
        """Change the price of a product that there is; note how long it took to be seen."""
        seen = self._costs(change.product_id, change.fields["price"])
        ages.seconds["price change"].append(await self._until(change, seen))

    async def _until(self, change: ProductChange, seen: Callable[[], Awaitable[bool]]) -> float:
        began = time.monotonic()
        await self._publisher.publish([outgoing(change)])
        while not await seen():
            if (waited := time.monotonic() - began) > LONGEST_SECONDS:
                raise TransientError(f"the {change.op} was not seen within {LONGEST_SECONDS:g} s")
            await asyncio.sleep(max(POLL_SECONDS, POLL_SHARE * waited))
        return time.monotonic() - began

    def _finds(self, word: str) -> Callable[[], Awaitable[bool]]:
        async def seen() -> bool:
            return word in (await self._hits(word) or ())

        return seen

    def _lost(self, word: str) -> Callable[[], Awaitable[bool]]:
        async def seen() -> bool:
            hits = await self._hits(word)
            return hits is not None and word not in hits

        return seen

    def _costs(self, word: str, price: FieldValue) -> Callable[[], Awaitable[bool]]:
        async def seen() -> bool:
            with suppress(SearchUnavailableError):
                product = await self._client.product(word)
                return product is not None and product.fields.get("price") == price
            return False

        return seen

    async def _hits(self, word: str) -> list[str] | None:
        """Return the products found by the word; None when the search was too busy to say."""
        try:
            answer = await self._client.search(word, k=1, mode="lexical", fields=(), log=False)
        except SearchUnavailableError as error:
            if error.status in BUSY:
                return None
            raise
        return None if answer.partial else [hit.product_id for hit in answer.hits]


async def measure(
    settings: Settings,
    url: str,
    titles: Sequence[str],
    *,
    count: int,
    done: Callable[[], None],
    load: Sequence[Outgoing] = (),
    rate: float = 0.0,
) -> Ages:
    """Live `count` lives one after another, while `load` is written at `rate` messages a second."""
    ages, publisher = Ages(), KafkaPublisher(settings)
    await publisher.start()
    async with AsyncSearchClient(url) as client:
        probe = Probe(client, publisher, titles)
        background = asyncio.create_task(_stream(publisher, load, rate))
        try:
            for number in range(count):
                await probe.life(number, ages)
                done()
                if rate and background.done():
                    break
        finally:
            background.cancel()
            await asyncio.gather(background, return_exceptions=True)
            await publisher.stop()
    return ages


async def _stream(publisher: KafkaPublisher, load: Sequence[Outgoing], rate: float) -> None:
    loop = asyncio.get_running_loop()
    began, size = loop.time(), max(1, int(rate / TICKS_A_SECOND))
    for start in range(0, len(load), size):
        await publisher.publish(load[start : start + size])
        await asyncio.sleep(max(0.0, began + (start + size) / rate - loop.time()))
