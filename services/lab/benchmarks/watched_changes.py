"""Price changes beside a load, of products of its own, each watched until the search API shows it.

The products are written first and deleted at the end, so that it may run beside a real catalogue.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import NamedTuple, Self
from uuid import uuid4

from headrace.search_api import AsyncSearchClient, SearchUnavailableError
from schemas.base import FieldValue
from schemas.catalogue import Operation, ProductChange
from services.lab.benchmarks.freshness import Ages, Probe
from shared.clock import SystemClock
from shared.errors import TransientError
from shared.kafka.publisher import KafkaPublisher
from shared.patience import hurrying
from shared.ports import outgoing
from shared.settings import Settings

PRODUCTS = 20
"""Of its own; a price change is of the next one."""
THERE_SECONDS = 60.0
POLL_SECONDS = 0.1


class SeenChange(NamedTuple):
    """A change that was written at a moment (monotonic), and after how many seconds it was seen."""

    at: float
    kind: str
    """A key of `freshness.GOALS`."""
    seconds: float | None
    """None: never, within `freshness.LONGEST_SECONDS`."""


class WatchedChanges(threading.Thread):
    """Reprices its products at a steady rate; with `titles` it also writes and deletes others, one by one."""

    def __init__(
        self, settings: Settings, url: str, *, rate: float, token: str = "", titles: Sequence[str] = ()
    ) -> None:
        super().__init__(daemon=True)
        self.observations: list[SeenChange] = []
        self.failure: BaseException | None = None
        self._settings = settings
        self._url = url
        self._token = token
        self._rate = rate
        self._titles = titles
        self._ids = [f"headrace-bench-{uuid4().hex[:12]}" for _ in range(PRODUCTS)]
        self._there, self._ending = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        """Write the products, and return when they are there; raises what kept them from being."""
        self.start()
        self._there.wait()
        if self.failure is not None:
            raise self.failure
        return self

    def __exit__(self, *_: object) -> None:
        """End with the changes under way, and delete the products."""
        self._ending.set()
        self.join()

    def since(self, moment: float, until: float = float("inf")) -> list[SeenChange]:
        """Return what was written from one moment (monotonic) to another."""
        return [one for one in list(self.observations) if moment <= one.at < until]

    def run(self) -> None:
        """Write and watch until it is told to end."""
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - for whoever measures
            self.failure = error
        finally:
            self._there.set()

    async def _run(self) -> None:
        publisher = KafkaPublisher(self._settings)
        with hurrying():  # its broker runs, or it never will
            await publisher.start()
        try:
            async with AsyncSearchClient(self._url, token=self._token) as client:
                try:
                    await publisher.publish(
                        [outgoing(_change(name, "upsert", self._new(name))) for name in self._ids]
                    )
                    await self._until_there(client)
                    self._there.set()
                    probe = Probe(client, publisher, self._titles)
                    await asyncio.gather(self._prices(probe), self._lives(probe))
                finally:
                    await publisher.publish([outgoing(_change(name, "delete")) for name in self._ids])
        finally:
            await publisher.stop()

    @staticmethod
    def _new(name: str) -> dict[str, FieldValue]:
        return {"title": name, "price": 1.0}

    async def _until_there(self, client: AsyncSearchClient) -> None:
        deadline = time.monotonic() + THERE_SECONDS
        for name in self._ids:
            while not await _has(client, name):
                if time.monotonic() > deadline:
                    raise TransientError(f"a new product was not found within {THERE_SECONDS:g} s")
                await asyncio.sleep(POLL_SECONDS)

    async def _prices(self, probe: Probe) -> None:
        """Write a change whenever one is due, however long those before it take."""
        began, under_way = time.monotonic(), set[asyncio.Task[None]]()
        for number in count():
            await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            if self._ending.is_set():
                break
            change = _change(self._ids[number % PRODUCTS], "patch", {"price": number + 2.5})
            task = asyncio.create_task(self._watch(probe, change))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _watch(self, probe: Probe, change: ProductChange) -> None:
        at, ages = time.monotonic(), Ages()
        with suppress(TransientError):
            await probe.reprice(change, ages)
        [*seconds] = ages.seconds["price change"]
        self.observations.append(SeenChange(at, "price change", seconds[0] if seconds else None))

    async def _lives(self, probe: Probe) -> None:
        """Write a product, reprice it and delete it, one after the other."""
        while self._titles and not self._ending.is_set():
            at, ages = time.monotonic(), Ages()
            with suppress(TransientError):
                await probe.life(len(self.observations), ages)
            for kind, seconds in ages.seconds.items():
                self.observations.append(SeenChange(at, kind, seconds[0] if seconds else None))
                if not seconds:
                    break  # what comes after it in a life was not tried
            await asyncio.sleep(1 / self._rate)


async def _has(client: AsyncSearchClient, product_id: str) -> bool:
    """Return whether the product is in the index; no as well while its shard is too busy to say."""
    with suppress(SearchUnavailableError):
        return await client.product(product_id) is not None
    return False


def _change(product_id: str, op: Operation, fields: dict[str, FieldValue] | None = None) -> ProductChange:
    now = SystemClock().now()
    version = int(now.timestamp() * 1000)
    return ProductChange(product_id=product_id, op=op, version=version, event_time=now, fields=fields or {})
