"""Reads all products from outside, each time another way, and has a checker look at what is shown."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from shared.infrastructure.stack import Stack
from shared.kafka.partitioning import partition_of
from tests.connected.checker import FIELDS, Checker, State

ALL = 1000
"""Hits: more than there are products."""
TOLD = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""What says that there is no answer now."""
Fields = Mapping[str, Any]  # Any: JSON


class Reader:
    """One reader: what an answer shows is never less than what one before it has shown."""

    def __init__(self, stack: Stack, checker: Checker, *, products: int, seed: int) -> None:
        self.reads: Counter[str] = Counter()
        self._stack = stack
        self._checker = checker
        self._rng = random.Random(f"reader {seed}")
        self._products = products
        self._client = httpx.Client(timeout=60, trust_env=False)

    def read(self) -> None:
        """Read once."""
        ways = (self._search, self._search, self._dump, self._product)
        self.reads[self._rng.choice(ways)()] += 1

    def dump(self) -> dict[str, State]:
        """Return every product that the shards have; raises `httpx.HTTPError` when one does not answer."""
        served: dict[str, State] = {}
        for number in range(self._stack.settings.partitions):
            parameters = {"generation": "g1", "partition": str(number)}
            headers = self._stack.settings.cluster.headers
            answer = self._client.get(f"{self._stack.url('shards')}/dump", params=parameters, headers=headers)
            served |= _states(map(json.loads, answer.raise_for_status().text.splitlines()))
        return served

    def _dump(self) -> str:
        try:
            served = self.dump()
        except httpx.HTTPError:
            return "refused"
        return self._shown(served, lambda _: True)

    def _search(self) -> str:
        mode = self._rng.choice(("hybrid", "dense", "lexical"))
        question = {"query": "lamp", "mode": mode, "k": ALL, "exact": True, "log": False}
        answer = self._client.post(
            f"{self._stack.url('search')}/search", json=question | {"timeout_ms": 20_000}
        )
        if answer.status_code in TOLD:
            return "refused"
        body = answer.raise_for_status().json()
        answered = {part["partition"] for part in body["partitions"] if part["answered"]}
        assert body["partial"] == (len(answered) < self._stack.settings.partitions)
        how = self._shown(_states(body["hits"]), lambda product_id: self._home(product_id) in answered)
        return "partial" if body["partial"] else how

    def _product(self) -> str:
        product_id = f"LAMP-{self._rng.randrange(self._products)}"
        answer = self._client.get(f"{self._stack.url('search')}/product/{product_id}")
        if answer.status_code in TOLD:
            return "refused"
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return self._shown({}, lambda other: other == product_id)
        return self._shown(_states([answer.raise_for_status().json()]), lambda _: False)

    def _shown(self, served: Mapping[str, State], claims: Callable[[str], bool]) -> str:
        self._checker.read(served, claims)
        return "whole"

    def _home(self, product_id: str) -> int:
        return partition_of(product_id.encode(), self._stack.settings.partitions)


def _states(products: Iterable[Fields]) -> dict[str, State]:
    """Return those of ours."""
    return {
        product["product_id"]: State(*(_version(product["fields"][name]) for name in FIELDS))
        for product in products
        if "written" in product["fields"]
    }


def _version(value: float | str) -> int:
    return int(value.rpartition(" v")[2]) if isinstance(value, str) else int(value)
