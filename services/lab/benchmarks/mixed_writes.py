"""What a shop writes all day, at steady rates: products anew, prices, deletes and returns, clicks.

The number of products stays what it was, so that memory has no reason to grow.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Self

from headrace import events
from headrace.search_api import AsyncSearchClient, SearchUnavailableError
from schemas.base import FieldValue
from schemas.catalogue import Operation, ProductChange
from services.lab.simulation.catalogue import ShopProduct
from shared.clock import SystemClock
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.settings import Settings

AWAY_SECONDS = 20.0
"""So long a deleted product stays away."""
SEED = 1


@dataclass(frozen=True, slots=True)
class WriteRates:
    """How often each thing is done, a second."""

    upserts: float = 2.0
    prices: float = 10.0
    deletes: float = 0.5
    clicks: float = 1.0
    """Each after a search of its own, that is logged as a shopper's."""


class MixedWrites(threading.Thread):
    """Writes to these products until it is told to end; `expected` is then what each must be."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        products: Sequence[ShopProduct],
        texts: Sequence[str],
        rates: WriteRates,
    ) -> None:
        super().__init__(daemon=True)
        self.expected: dict[str, Mapping[str, FieldValue]] = {}
        """By product that was written to, its attributes now."""
        self.written: dict[str, int] = {"upsert": 0, "patch": 0, "delete": 0, "click": 0}
        self.refused = 0
        """Searches of those who click that were not answered."""
        self.failure: BaseException | None = None
        self._settings = settings
        self._url = url
        self._products = {product.id: product.fields() for product in products}
        self._texts = texts
        self._rates = rates
        self._draw = Random(SEED)  # noqa: S311 - a load, no secret
        self._away: deque[tuple[float, str]] = deque()
        self._ending = threading.Event()
        self._version = 0

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; every deleted product is back."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Write until it is told to end."""
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - for whoever measures
            self.failure = error

    async def _run(self) -> None:
        publisher = KafkaPublisher(self._settings)
        await publisher.start()
        try:
            async with AsyncSearchClient(self._url) as client:
                await asyncio.gather(
                    self._again(self._rates.upserts, lambda: self._anew(publisher)),
                    self._again(self._rates.prices, lambda: self._reprice(publisher)),
                    self._again(self._rates.deletes, lambda: self._take_away(publisher)),
                    self._again(self._rates.clicks, lambda: self._click(client, publisher)),
                )
                while self._away:
                    await self._bring_back(publisher)
        finally:
            await publisher.stop()

    async def _again(self, rate: float, act: Callable[[], Awaitable[None]]) -> None:
        """Do it so often a second; what takes too long is made up for."""
        began = time.monotonic()
        for number in count():
            if not rate or self._ending.is_set():
                return
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await act()

    async def _anew(self, publisher: KafkaPublisher) -> None:
        """Write a product whole, with another title: a text to embed."""
        name = self._some()
        title = f"{self._products[name]['title']} {self._draw.randrange(1000)}"
        await self._write(publisher, name, "upsert", {**self._now(name), "title": title})

    async def _reprice(self, publisher: KafkaPublisher) -> None:
        price = round(self._draw.uniform(1, 500), 2)
        await self._write(publisher, self._some(), "patch", {"price": price})

    async def _take_away(self, publisher: KafkaPublisher) -> None:
        """Delete a product; one that was away for long comes back."""
        while self._away and self._away[0][0] < time.monotonic() - AWAY_SECONDS:
            await self._bring_back(publisher)
        name = self._some()
        await self._write(publisher, name, "delete", {})
        self._away.append((time.monotonic(), name))

    async def _bring_back(self, publisher: KafkaPublisher) -> None:
        _, name = self._away.popleft()
        await self._write(publisher, name, "upsert", self._products[name])

    async def _click(self, client: AsyncSearchClient, publisher: KafkaPublisher) -> None:
        """Search as a shopper does, and click on what is found first."""
        shopper = f"soak-{self._draw.randrange(50)}"
        try:
            answer = await client.search(self._draw.choice(self._texts), client_id=shopper, fields=())
        except SearchUnavailableError:
            self.refused += 1
            return
        for hit in answer.hits[:1]:
            options = events.EventOptions(
                product_id=hit.product_id, position=1, query_id=answer.query_id, client_id=shopper
            )
            await publisher.publish([events.message(events.event("click", options))])
            self.written["click"] += 1

    def _some(self) -> str:
        """Return a product that is there."""
        away = {name for _, name in self._away}
        return self._draw.choice([name for name in self._products if name not in away])

    def _now(self, name: str) -> Mapping[str, FieldValue]:
        return self.expected.get(name) or self._products[name]

    async def _write(
        self, publisher: KafkaPublisher, name: str, op: Operation, fields: Mapping[str, FieldValue]
    ) -> None:
        now = SystemClock().now()
        self._version = max(self._version + 1, int(now.timestamp() * 1000))
        before = {} if op != "patch" else self._now(name)
        self.expected[name] = {**before, **fields}
        change = ProductChange(
            product_id=name, op=op, version=self._version, event_time=now, fields=dict(fields)
        )
        await publisher.publish([outgoing(change)])
        self.written[op] += 1


async def differences(url: str, expected: Mapping[str, Mapping[str, FieldValue]]) -> list[str]:
    """Return the products of which the index has something else than what was written last."""
    wrong = []
    async with AsyncSearchClient(url) as client:
        for name, fields in expected.items():
            product = None
            with suppress(SearchUnavailableError):
                product = await client.product(name)
            if product is None or dict(product.fields) != _as_answered(fields):
                wrong.append(name)
    return wrong


def _as_answered(fields: Mapping[str, FieldValue]) -> dict[str, object]:
    """Return attributes as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
