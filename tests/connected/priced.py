"""Products whose price is the version of their last change: how many are served at which."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import httpx

from schemas.catalogue import ProductChange
from services.embedder.settings import Settings as EmbedderSettings
from services.lab.verification.index import verify_index
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.infrastructure.supervision import Backoff
from shared.records import Outgoing
from tests.connected.killing import until
from tests.connected.publishing import publish

SOON = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=2))


def write(stack: Stack, version: int, *, products: int, first: int = 0) -> None:
    """Write so many products whole, at this version and price."""
    publish(stack.settings, [_change(number, version) for number in range(first, first + products)])


def _change(number: int, version: int) -> Outgoing:
    fields = {"title": f"shoe {number}", "price": version}
    change = {"product_id": f"P{number}", "op": "upsert", "version": version, "fields": fields}
    return Outgoing(ProductChange.topic, f"P{number}".encode(), json.dumps(change).encode())


def prices(stack: Stack) -> Counter[float]:
    """Return how many products are served at each price; raises `httpx.HTTPError` when a shard is not."""
    counts: Counter[float] = Counter()
    for number in range(stack.settings.partitions):
        parameters = {"generation": "g1", "partition": str(number)}
        answer = httpx.get(
            f"{stack.url('shards')}/dump",
            params=parameters,
            headers=stack.settings.cluster.headers,
            trust_env=False,
        )
        lines = answer.raise_for_status().text.splitlines()
        counts.update(json.loads(line)["fields"]["price"] for line in lines)
    return counts


def until_priced(stack: Stack, expected: dict[float, int]) -> None:
    """Return when so many are served at each price; a worker that ends meanwhile is started again."""

    def priced() -> bool:
        stack.supervise_once(SOON)
        try:
            return prices(stack) == expected
        except httpx.HTTPError:
            return False

    until(priced, why=lambda: f"not ready: {stack.not_ready()}")


def differences(stack: Stack) -> list[str]:
    """Return what `headrace verify index` says."""
    settings = discover(EmbedderSettings.load(data_dir=stack.settings.data_dir))
    return list(asyncio.run(verify_index(settings, timedelta(seconds=60))).differences)
