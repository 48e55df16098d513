"""The installation that the demo plays on: its topics, its search API, its figures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from headrace.search_api import AsyncSearchClient
from schemas.alerts import Alert
from schemas.base import Message
from schemas.judgements import Judgement
from schemas.search_api import ProductResponse, SearchResponse
from services.lab.search_client import token
from services.lab.simulation.truth import Pair
from shared.clock import SystemClock
from shared.cluster.members import OwnerRecord
from shared.cluster.registry import OwnerRegistry
from shared.errors import TransientError
from shared.kafka.compacted import CompactedTopic, read_item, read_items
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.settings import Settings
from shared.state.redis import connect

T = TypeVar("T")
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Addresses:
    """Where an installation is; `urls` has the base URL of every worker by name."""

    settings: Settings
    urls: Mapping[str, str]


@dataclass
class DemoClient:
    """Open it with `async with`; everything asked of it goes through the ways that users have."""

    addresses: Addresses
    clock: SystemClock = field(default_factory=SystemClock)

    async def __aenter__(self) -> Self:
        """Connect to broker, Redis and the workers' HTTP ports."""
        settings = self.addresses.settings
        self._exits = AsyncExitStack()
        self.publisher = KafkaPublisher(settings)
        self._redis = connect(settings)
        self._registry = OwnerRegistry(self._redis, settings.namespace, settings.generation)
        self._judgements = CompactedTopic(settings, Judgement.topic)
        self._alerts = CompactedTopic(settings, Alert.topic)
        timeout = timedelta(seconds=15)
        self.search_api = AsyncSearchClient(self.addresses.urls["search"], token=token(), timeout=timeout)
        self._http = httpx.AsyncClient(timeout=timeout.total_seconds(), trust_env=False)
        for part in (self.publisher, self._judgements, self._alerts):
            await part.start()
            self._exits.push_async_callback(part.stop)
        self._exits.push_async_callback(self._redis.aclose)
        self._exits.push_async_callback(self.search_api.close)
        self._exits.push_async_callback(self._http.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._exits.aclose()

    async def publish(self, *messages: Message) -> None:
        """Write to the topics; returns when the broker has acknowledged."""
        await self.publisher.publish([outgoing(message) for message in messages])

    async def search(
        self,
        text: str,
        *,
        k: int = 10,
        log: bool = False,
        generation: str | None = None,
        session_id: str | None = None,
        query_id: str | None = None,
    ) -> SearchResponse:
        """Ask `POST /search`; raises `SearchUnavailableError` when it does not answer with hits."""
        return await self.search_api.search(
            text, k=k, log=log, generation=generation, session_id=session_id, query_id=query_id
        )

    async def product(self, product_id: str) -> ProductResponse | None:
        """Return a product as the index has it, None when it is not there; raises as `search`."""
        return await self.search_api.product(product_id)

    async def owners(self) -> Sequence[OwnerRecord]:
        """Return the owners of shards, one a partition."""
        one_each = {owner.partition: owner for owner in await self._registry.owners()}
        return list(one_each.values())

    async def documents(self) -> int:
        """Return how many products can be found."""
        return sum(owner.documents for owner in await self.owners())

    async def embedded(self) -> float:
        """Return how many texts the embedder has put through its model so far."""
        return await self.metric("embedder", "headrace_texts_embedded_total")

    async def metric(self, worker: str, name: str) -> float:
        """Return a series of a worker's `/metrics`, summed over its labels; raises `TransientError`."""
        url = self.addresses.urls[worker]
        try:
            response = (await self._http.get(f"{url}/metrics")).raise_for_status()
        except httpx.HTTPError as error:
            raise TransientError(f"{worker} does not say its figures at {url}: {error!r}") from error
        families = text_string_to_metric_families(response.text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def judgements(self) -> dict[Pair, Judgement]:
        """Return the judgements published so far."""
        read = read_items(Judgement, list(self._judgements.items.values()))
        return {(judgement.query, judgement.product_id): judgement for judgement in read}

    def alert(self, key: str) -> Alert | None:
        """Return the last state of an alert."""
        return read_item(Alert, self._alerts.items.get(key.encode()))

    def version(self) -> tuple[int, datetime]:
        """Return a version for a change made now, and the time."""
        now = self.clock.now()
        return int(now.timestamp() * 1000), now


async def until(probe: Callable[[], Awaitable[T | None]], *, within: timedelta) -> tuple[T | None, timedelta]:
    """Ask again and again until there is something, or time is over; also return how long it took.

    What is too busy to answer is asked again.
    """
    loop = asyncio.get_running_loop()
    began, result = loop.time(), None
    while result is None and loop.time() - began <= within.total_seconds():
        with suppress(TransientError):
            result = await probe()
        if result is None:
            await asyncio.sleep(POLL_SECONDS)
    return result, timedelta(seconds=loop.time() - began)
