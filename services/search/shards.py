"""Asks the shards: scatter to one ready owner a partition, gather until the deadline."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import orjson

from schemas.filters import Filter
from services.search.domain.candidate import Candidate, Report, ShardAnswer
from services.search.domain.request import Mode
from services.search.domain.route import Route
from shared.ports import Vectors
from shared.registry import OwnerRecord

MAX_REASON = 300
WAIT_SHARE = 0.8
"""Of the time left, what a shard may wait for `min_offsets`; the rest is for it to answer."""
CONFLICT, NOT_FOUND, OK = 409, 404, 200
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardQuery:
    """What every shard is asked; `deadline` is a moment of the event loop's clock."""

    generation: str
    mode: Mode
    k: int
    deadline: float
    text: str | None = None
    vector: Vectors | None = None
    fingerprint: str | None = None
    filters: Sequence[Filter] = ()
    exact: bool = False
    min_offsets: Mapping[int, int] | None = None

    def remaining(self) -> float:
        """Return the seconds left."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def body(self, partitions: Sequence[int]) -> bytes:
        """Return the request for these partitions."""
        offsets = {str(key): value for key, value in (self.min_offsets or {}).items() if key in partitions}
        return orjson.dumps(
            {
                "generation": self.generation,
                "partitions": list(partitions),
                "vector": encode_vector(self.vector),
                "fingerprint": self.fingerprint,
                "text": self.text,
                "k": self.k,
                "mode": self.mode,
                "filters": [each.model_dump(exclude_none=True) for each in self.filters],
                "exact": self.exact,
                "min_offsets": offsets or None,
                "timeout_ms": max(1, int(self.remaining() * 1000 * WAIT_SHARE)),
            }
        )


class ShardFailure(Exception):  # noqa: N818  an outcome that is reported
    """An owner did not answer the query; the message says why. `refused`: it said so itself."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason[:MAX_REASON])
        self.refused = refused


class ShardClient:
    """Speaks HTTP with the owners over connections that are kept open."""

    def __init__(self, *, hedge_after: timedelta, transport: httpx.AsyncBaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        self._client = httpx.AsyncClient(limits=limits, transport=transport, trust_env=False)
        self._hedge_after = hedge_after.total_seconds()

    async def start(self) -> None:
        """Nothing to prepare: connections are made when needed."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def scatter(self, route: Route, query: ShardQuery) -> list[ShardAnswer]:
        """Ask one owner a partition, all at once; one answer a partition, by number, late ones as missing.

        A replica takes over when an owner fails, and is asked besides when it is slow.
        """
        calls = (
            self._group(url, numbers, route=route, query=query)
            for url, numbers in _groups(route, apart=query.min_offsets is not None)
        )
        answers = [answer for group in await asyncio.gather(*calls) for answer in group]
        answers += [_missing(number, reason) for number, reason in route.unserved.items()]
        return sorted(answers, key=lambda answer: answer.report.partition)

    async def _group(
        self, url: str, partitions: Sequence[int], *, route: Route, query: ShardQuery
    ) -> list[ShardAnswer]:
        """Return the answers of one owner, or of those that stand in for it."""
        first = asyncio.ensure_future(self._query(url, partitions, query))
        try:
            await asyncio.wait({first}, timeout=min(self._hedge_after, query.remaining()))
            if first.done() and first.exception() is None:
                return first.result()
            alone = first.done() and len(partitions) > 1 and _refused(first)
            others = {number: _others(route.choices[number], url, alone=alone) for number in partitions}
            standins = [
                self._stand_in(number, others[number], first=first, query=query) for number in partitions
            ]
            return await asyncio.gather(*standins)
        finally:
            first.cancel()

    async def _stand_in(
        self,
        number: int,
        urls: Sequence[str],
        *,
        first: "asyncio.Future[list[ShardAnswer]]",
        query: ShardQuery,
    ) -> ShardAnswer:
        """Return the first good answer for one partition: of the owner asked first, or of another."""
        races: set[asyncio.Future[list[ShardAnswer]]] = {first}
        backup = asyncio.ensure_future(self._one_of(urls, number, query)) if urls else None
        if backup:
            races.add(backup)
        reason = "no answer within the time limit"
        try:
            while races and query.remaining() > 0:
                done, races = await asyncio.wait(
                    races, timeout=query.remaining(), return_when=asyncio.FIRST_COMPLETED
                )
                for future in done:
                    error = future.exception()
                    if error is None:
                        return next(each for each in future.result() if each.report.partition == number)
                    if not isinstance(error, ShardFailure):
                        raise error
                    reason = str(error)
        finally:
            if backup:
                backup.cancel()
        return _missing(number, reason)

    async def _one_of(self, urls: Sequence[str], number: int, query: ShardQuery) -> list[ShardAnswer]:
        failure = ShardFailure("nobody to ask")
        for url in urls:
            try:
                return await self._query(url, [number], query)
            except ShardFailure as error:
                failure = error
        raise failure

    async def _query(self, url: str, partitions: Sequence[int], query: ShardQuery) -> list[ShardAnswer]:
        """Ask one owner for partitions of its own; raises `ShardFailure` unless all of them answer."""
        reply = await self._call(
            self._client.post(f"{url}/query", content=query.body(partitions), headers=JSON_TYPE), query
        )
        try:
            answers = [_answer(part, url) for part in orjson.loads(reply)["partitions"]]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ShardFailure(f"{url} gave an answer that cannot be read: {error!r}") from error
        if {answer.report.partition for answer in answers} != set(partitions):
            raise ShardFailure(f"{url} did not answer for all of {list(partitions)}")
        return answers

    async def product(self, owner: OwnerRecord, query: ShardQuery, product_id: str) -> dict[str, Any] | None:
        """Return the product as its shard has it, or None; raises `ShardFailure`."""
        call = self._client.get(
            f"{owner.url}/products/{quote(product_id, safe='')}", params={"generation": query.generation}
        )
        return await self._found(call, query)

    async def similar(self, owner: OwnerRecord, query: ShardQuery, product_id: str) -> dict[str, Any] | None:
        """Return `{"product_id", "vector"}` of a product, or None; raises `ShardFailure`."""
        body = {"generation": query.generation, "product_id": product_id}
        return await self._found(self._client.post(f"{owner.url}/similar", json=body), query)

    async def explain(self, owner: OwnerRecord, query: ShardQuery, product_id: str) -> dict[str, Any] | None:
        """Return scores and ranks of a product in its shard, or None; raises `ShardFailure`."""
        body = orjson.loads(query.body([owner.partition])) | {"product_id": product_id}
        return await self._found(self._client.post(f"{owner.url}/explain", json=body), query)

    async def _found(
        self, call: Coroutine[Any, Any, httpx.Response], query: ShardQuery
    ) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = orjson.loads(await self._call(call, query))
        except _NothingThere:
            return None
        except orjson.JSONDecodeError as error:
            raise ShardFailure(f"a shard gave an answer that cannot be read: {error}") from error
        return found

    async def _call(self, call: Coroutine[Any, Any, httpx.Response], query: ShardQuery) -> bytes:
        try:
            async with asyncio.timeout(query.remaining()):
                response = await call
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ShardFailure("no answer within the time limit") from error
        except httpx.HTTPError as error:
            raise ShardFailure(f"{type(error).__name__}: {error}") from error
        if response.status_code == NOT_FOUND:
            raise _NothingThere
        if response.status_code != OK:
            raise ShardFailure(_reason(response), refused=response.status_code == CONFLICT)
        return response.content


class _NothingThere(ShardFailure):
    def __init__(self) -> None:
        super().__init__("not found")


def encode_vector(vector: Vectors | None) -> str | None:
    """Return the vector as base64 of little-endian float32."""
    return None if vector is None else b64encode(vector.astype("<f4").tobytes()).decode()


def _groups(route: Route, *, apart: bool) -> list[tuple[str, list[int]]]:
    """Return what to ask of whom; partitions `apart` when one that is behind must not hold up another."""
    groups: dict[tuple[str, int], list[int]] = {}
    for number, choices in route.choices.items():
        if choices:
            groups.setdefault((choices[0].url, number if apart else 0), []).append(number)
    return [(url, numbers) for (url, _), numbers in groups.items()]


def _others(choices: Sequence[OwnerRecord], url: str, *, alone: bool) -> list[str]:
    """Return the replicas to ask instead; the owner itself, for one partition alone, when it refused many."""
    others = [owner.url for owner in choices if owner.url != url]
    return [*others, url] if alone else others


def _refused(future: "asyncio.Future[list[ShardAnswer]]") -> bool:
    error = future.exception()
    return isinstance(error, ShardFailure) and error.refused


def _missing(number: int, reason: str) -> ShardAnswer:
    return ShardAnswer(Report(partition=number, answered=False, reason=reason))


def _answer(part: Mapping[str, Any], url: str) -> ShardAnswer:
    number, epoch = int(part["partition"]), int(part["epoch"])
    report = Report(partition=number, answered=True, owner=url, epoch=epoch, next_offset=part["next_offset"])
    return ShardAnswer(report, tuple(_candidates(part["hits"], number, epoch)))


def _candidates(hits: Iterable[Mapping[str, Any]], number: int, epoch: int) -> Iterable[Candidate]:
    for hit in hits:
        yield Candidate(
            product_id=hit["product_id"],
            dense=hit.get("dense"),
            lexical=hit.get("lexical"),
            partition=number,
            segment=hit.get("segment", ""),
            offset=hit.get("offset", 0),
            epoch=epoch,
            passage=hit.get("passage", 0),
            fields=hit.get("fields"),
        )


def _reason(response: httpx.Response) -> str:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = {}
    if not isinstance(body, dict) or "reason" not in body:
        return f"HTTP {response.status_code}: {response.text[:MAX_REASON]}"
    return f"{body['reason']}: {body.get('explanation', 'the shard refused the query')}"


def decode_vector(text: str) -> Vectors:
    """Return the float32 vector of that base64; raises `ValueError`."""
    return np.frombuffer(b64decode(text), dtype="<f4").astype(np.float32)
