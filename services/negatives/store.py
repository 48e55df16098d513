"""What is judged of queries, which of them moved, and what was mined: in Redis, one hash tag a partition.

A partition's tag holds `q:<query>` (product -> packed fact), `queries` (those that have facts), and the
marks: `moved` (query -> since when) and `touches` (query -> the number of its last touch). What was
published is under the miner's tag, `chosen:<query>`; so is what is right for which query, both ways
(`right:<query>`, `asked:<product>`). A mark is forgotten only with the touch that was read
before the query's facts were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.negatives import lua
from services.negatives.domain.fact import Fact
from shared.adapters.redis import Script, text, transient
from shared.errors import FatalError

MINER = 0
"""The partition whose owner mines, for all partitions."""
LOST = "LOST"
_BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
HUB = 50
"""A product that is right for more queries than that says nothing about what belongs together."""


@dataclass(slots=True)
class Held:
    """What the owner of a partition holds: the state's key, its epoch, where it has come to."""

    key: str
    epoch: int
    next_offset: int
    against: str
    """The index that all queries were marked to be mined from, and the rules."""
    written: int = 0
    """How many records of that index were written by then."""
    marked: datetime = _BEGINNING
    """When that was."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a query: facts, what was published of it, and its touch in each partition."""

    facts: Mapping[str, Fact]
    chosen: frozenset[str]
    touches: tuple[str, ...]


class Store:
    """The state of all partitions; what needs an owner takes `Held`."""

    def __init__(self, redis: Redis, *, namespace: str, partitions: int) -> None:
        self._redis = redis
        self._namespace = namespace
        self._numbers = range(partitions)
        self._claim = Script(redis, lua.source("tag", "claim"))
        self._mark = Script(redis, lua.source("tag", "mark"))
        self._forget = Script(redis, lua.source("tag", "forget"))
        self._learn, self._promise, self._against, self._relate = (
            Script(redis, lua.source("tag", "guard", "owner", name))
            for name in ("learn", "promise", "against", "relate")
        )
        self._settle = Script(redis, lua.source("tag", "guard", "settle"))

    async def claim(self, number: int) -> Held:
        """Take a partition over: older holders are fenced out."""
        key = self._key(number, "state")
        epoch, next_offset, against, written, marked = await self._claim(keys=[key], args=["{}"])
        since = _BEGINNING + timedelta(milliseconds=int(marked))
        return Held(key, int(epoch), int(next_offset), text(against), int(written), since)

    async def learn(
        self, held: Held, facts: Sequence[tuple[str, str, str]], *, next_offset: int, now: datetime
    ) -> None:
        """Store facts (query, product, packed; empty: none any more) with the offset; mark what is news."""
        steps = {"from": held.next_offset, "next": next_offset}
        await self._guarded(self._learn, held, **steps, facts=facts, now=_milliseconds(now))
        held.next_offset = next_offset

    async def due(self, before: datetime, limit: int) -> list[str]:
        """Return queries that have waited since before then, those that have waited longest first."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for number in self._numbers:
                key, until = self._key(number, "moved"), _milliseconds(before)
                pipeline.zrangebyscore(key, "-inf", until, start=0, num=limit, withscores=True)
            found = await pipeline.execute()
        waiting = sorted((since, text(query)) for each in found for query, since in each)
        return list(dict.fromkeys(query for _, query in waiting))[:limit]

    async def waiting(self) -> int:
        """Return how many queries are marked (in several partitions: so many times)."""
        with transient():
            return sum([await self._redis.zcard(self._key(number, "moved")) for number in self._numbers])

    async def known(self, query: str) -> Known:
        """Return what is known of a query; touches are read before the facts that they announce."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for number in self._numbers:
                pipeline.hget(self._key(number, "touches"), query)
                pipeline.hgetall(self._key(number, f"q:{query}"))
            pipeline.smembers(self._key(MINER, f"chosen:{query}"))
            *pairs, chosen = await pipeline.execute()
        facts = {text(name): Fact.unpack(text(it)) for each in pairs[1::2] for name, it in each.items()}
        return Known(facts, frozenset(map(text, chosen)), tuple(text(it or b"") for it in pairs[::2]))

    async def forget(self, query: str, known: Known) -> None:
        """Take the marks off a query that were there when `known` was read, and were not renewed since."""
        for number, touch in zip(self._numbers, known.touches, strict=True):
            if touch:
                body = orjson.dumps({"query": query, "touch": touch})
                await self._forget(keys=[self._key(number, "state")], args=[body])

    async def postpone(self, query: str, now: datetime) -> None:
        """Send a query that cannot be mined now to the end of the queue."""
        with transient():
            for number in self._numbers:
                await self._redis.zadd(self._key(number, "moved"), {query: _milliseconds(now)}, xx=True)

    async def mark_all(self, now: datetime) -> None:
        """Mark every query of every partition."""
        for number in self._numbers:
            cursor = -1
            while cursor:
                with transient():
                    cursor, queries = await self._redis.sscan(
                        self._key(number, "queries"), max(cursor, 0), count=500
                    )
                body = orjson.dumps({"queries": [text(it) for it in queries], "now": _milliseconds(now)})
                await self._mark(keys=[self._key(number, "state")], args=[body])

    async def promise(
        self, held: Held, promised: Iterable[tuple[str, Sequence[str]]], *, mark: bool, now: datetime
    ) -> None:
        """Remember what is about to be, or was, published of queries; with `mark`, have them mined."""
        body = {"promised": list(promised), "mark": mark, "now": _milliseconds(now)}
        await self._guarded(self._promise, held, **body)

    async def settle(self, held: Held, query: str, products: Sequence[str], *, now: datetime) -> None:
        """Remember what a query has, now that it is published; when fenced out, have it mined again."""
        await self._guarded(self._settle, held, query=query, products=products, now=_milliseconds(now))

    async def relate(
        self, held: Held, query: str, positives: Sequence[str], *, telling: bool, now: datetime
    ) -> frozenset[str]:
        """Remember a query's positives, and return what is right for another query together with one.

        With `telling` false the query says nothing about what belongs together. Queries that share a
        product with what changed are marked.
        """
        body = {"query": query, "positives": positives, "right": positives if telling else ()}
        found = await self._guarded(self._relate, held, **body, hub=HUB, now=_milliseconds(now))
        return frozenset(map(text, found))

    async def mined_against(self, held: Held, against: str, *, written: int, now: datetime) -> None:
        """Remember that every query was marked to be mined from this index, of which so much was written."""
        await self._guarded(self._against, held, against=against, written=written, now=_milliseconds(now))
        held.against, held.written, held.marked = against, written, now

    def _key(self, number: int, name: str) -> str:
        return f"{self._namespace}:{{negatives-{number}}}:{name}"

    async def _guarded(self, script: Script, held: Held, **batch: object) -> Any:  # Any: the script decides
        try:
            return await script(keys=[held.key], args=[orjson.dumps({"epoch": held.epoch, **batch})])
        except ResponseError as error:
            if LOST in str(error):
                raise FatalError(
                    f"Redis lost state that this worker held ({error}): "
                    "start the worker again, and it will be rebuilt from the topics"
                ) from error
            raise


def _milliseconds(moment: datetime) -> int:
    return (moment - _BEGINNING) // timedelta(milliseconds=1)
