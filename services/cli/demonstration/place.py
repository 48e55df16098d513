"""The installation that the demo plays on: its topics, its search API, its figures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from schemas.alerts import Alert
from schemas.base import Message
from schemas.judgements import Judgement
from services.cli.search_client import credentials
from services.cli.simulation.truth import Pair
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import connect
from shared.clock import SystemClock
from shared.compacted import CompactedTopic
from shared.errors import TransientError
from shared.ports import outgoing
from shared.registry import OwnerRecord, Registry
from shared.settings import Settings

T = TypeVar("T")
POLL_SECONDS = 0.02
Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Addresses:
    """Where an installation is; `urls` has the base URL of every worker by name."""

    settings: Settings
    urls: Mapping[str, str]


@dataclass
class Place:
    """Open it with `async with`; everything asked of it goes through the ways that users have."""

    addresses: Addresses
    clock: SystemClock = field(default_factory=SystemClock)

    async def __aenter__(self) -> Self:
        """Connect to broker, Redis and the workers' HTTP ports."""
        settings = self.addresses.settings
        self._exits = AsyncExitStack()
        self.publisher = KafkaPublisher(settings)
        self._redis = connect(settings)
        self._registry = Registry(self._redis, settings.namespace, settings.generation)
        self._judgements = CompactedTopic(settings, Judgement.topic)
        self._alerts = CompactedTopic(settings, Alert.topic)
        self.http = httpx.AsyncClient(
            base_url=self.addresses.urls["search"], headers=credentials(), timeout=15, trust_env=False
        )
        for part in (self.publisher, self._judgements, self._alerts):
            await part.start()
            self._exits.push_async_callback(part.stop)
        self._exits.push_async_callback(self._redis.aclose)
        self._exits.push_async_callback(self.http.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._exits.aclose()

    async def publish(self, *messages: Message) -> None:
        """Write to the topics; returns when the broker has acknowledged."""
        await self.publisher.publish([outgoing(message) for message in messages])

    async def search(self, text: str, *, k: int = 10, log: bool = False) -> Json:
        """Ask `POST /search`; raises `TransientError` when it does not answer with hits."""
        try:
            response = await self.http.post("/search", json={"text": text, "k": k, "log": log})
        except httpx.TransportError as error:
            raise TransientError(f"search does not answer: {error!r}") from error
        if response.is_error:
            raise TransientError(f"search answered {response.status_code}: {response.text[:200]}")
        found: Json = response.json()
        return found

    async def product(self, product_id: str) -> Json | None:
        """Return a product as the index has it, None when it is not there; raises `TransientError`."""
        try:
            response = await self.http.get(f"/product/{product_id}")
        except httpx.TransportError as error:
            raise TransientError(f"search does not answer: {error!r}") from error
        return response.json() if response.is_success else None

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
            response = (await self.http.get(f"{url}/metrics")).raise_for_status()
        except httpx.HTTPError as error:
            raise TransientError(f"{worker} does not say its figures at {url}: {error!r}") from error
        families = text_string_to_metric_families(response.text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def judgements(self) -> dict[Pair, Judgement]:
        """Return the judgements published so far."""
        read = (Judgement.decode(value) for value in list(self._judgements.items.values()))
        return {(judgement.query, judgement.product_id): judgement for judgement in read}

    def alert(self, key: str) -> Alert | None:
        """Return the last state of an alert."""
        value = self._alerts.items.get(key.encode())
        return None if value is None else Alert.decode(value)

    def version(self) -> tuple[int, datetime]:
        """Return a version for a change made now, and the time."""
        now = self.clock.now()
        return int(now.timestamp() * 1000), now


async def until(found: Callable[[], Awaitable[T | None]], *, within: timedelta) -> tuple[T | None, timedelta]:
    """Ask again and again until there is something, or time is over; also return how long it took.

    What is too busy to answer is asked again.
    """
    loop = asyncio.get_running_loop()
    began, result = loop.time(), None
    while result is None and loop.time() - began <= within.total_seconds():
        with suppress(TransientError):
            result = await found()
        if result is None:
            await asyncio.sleep(POLL_SECONDS)
    return result, timedelta(seconds=loop.time() - began)
