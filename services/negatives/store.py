"""What is judged of queries, which of them moved, and what was mined: in Redis, one hash tag a partition.

A partition's tag holds `q:<query>` (product -> packed evidence), `queries` (those that have any), and the
marks: `moved` (query -> since when), `touches` (query -> the number of its last touch) and `acted` (query and
product that shoppers begin to act upon). What was published is under the miner's tag, `chosen:<query>`; so
is what is watched of it (`watched:<query>`, product -> packed), how many of that were looked at enough and
acted upon (`looked_at` and `acted_upon`, by query; their sums are in the state), and the positives of a query
and the queries of a positive (`right:<query>`, `asked:<product>`). A mark is forgotten only with the touch
that was read before the query's evidence was. What queries teach the judge of relevance is in `taught`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import orjson
from redis.asyncio import Redis

from schemas.base import EPOCH, MILLISECOND, milliseconds
from services.negatives import lua
from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.precision import NegativePrecision, Watched, WatchedNegative
from shared.cluster.miner import MINER, miner_keys, read_precision
from shared.records import UNKNOWN_LOG, Log
from shared.relevance.judge import UNTAUGHT_JUDGES, CrossFitted
from shared.relevance.learning import JudgedPair
from shared.state.fenced import FencedBatch, FencedState, StateClaim, StateKeys
from shared.state.lua import parts
from shared.state.redis import Script, text, transient

UNGUARDED = parts("tag") + "local batch = cjson.decode(ARGV[1])\n"
NOT_WATCHED: Mapping[str, Watched] = MappingProxyType({})
TEACHERS = 5000
"""Queries that teach the judge of relevance, at most."""
HUB = 50
"""A product that is a positive of more queries than that says nothing about what belongs together."""


@dataclass(slots=True, kw_only=True)
class EvidenceState(FencedState):
    """The state of a partition that this process has taken over."""

    mined_from: str
    """The index that all queries were marked to be mined from, and the rules."""
    written: int = 0
    """How many records of that index were written by then."""
    marked: datetime = EPOCH
    """When that was."""
    judges: CrossFitted = UNTAUGHT_JUDGES
    """Who judges what nobody was shown."""


@dataclass(frozen=True, slots=True)
class QueryState:
    """The evidence of a query's products, its negatives, and its touch in each partition."""

    evidence: Mapping[str, RelevanceEvidence]
    published: frozenset[str]
    watched: Watched
    touches: tuple[str, ...]


class ActedMark(NamedTuple):
    """A product that shoppers began to act upon for a query, as a partition of the judgements has it."""

    number: int
    query: str
    product_id: str
    is_published: bool
    """Whether it is a negative of the query."""

    @property
    def member(self) -> str:
        """Return it as it is stored."""
        return f"{self.query}\t{self.product_id}"


class EvidenceStore:
    """The state of all partitions; what needs an owner takes `EvidenceState`."""

    def __init__(self, redis: Redis, *, namespace: str, partitions: int) -> None:
        self._redis = redis
        self._namespace = namespace
        self._numbers = range(partitions)
        self._claim = StateClaim(redis)
        self._mark, self._forget = (Script(redis, UNGUARDED + lua.steps(name)) for name in ("mark", "forget"))
        self._learn, self._prepare, self._against, self._relate = (
            FencedBatch(redis, lua.steps(name)) for name in ("learn", "prepare", "against", "relate")
        )
        self._teach = FencedBatch(redis, lua.steps("teach"))
        self._commit = FencedBatch(redis, lua.steps("commit"), refuses=False)

    async def claim(self, number: int, log: Log = UNKNOWN_LOG) -> EvidenceState:
        """Take a partition over: older owners are fenced out."""
        keys = self._keys(number)
        claimed = await self._claim(keys, log=log, other=("against", "written", "marked", "judge"))
        assert claimed is not None  # noqa: S101 - created when it was not there
        against, written, marked, judges = claimed.other
        return EvidenceState(
            keys,
            claimed.epoch,
            claimed.next_offset,
            mined_from=against or "",
            written=int(written or 0),
            marked=EPOCH + int(marked or 0) * MILLISECOND,
            judges=CrossFitted.model_validate_json(judges) if judges else UNTAUGHT_JUDGES,
        )

    async def learn(
        self, state: EvidenceState, rows: Sequence[tuple[str, str, str]], *, next_offset: int, now: datetime
    ) -> None:
        """Store evidence (query, product, packed; empty: none) with the offset; mark what is news."""
        await self._learn.apply(state, next_offset=next_offset, facts=rows, now=milliseconds(now))

    async def due(self, before: datetime, limit: int) -> list[str]:
        """Return queries that have waited since before then, those that have waited longest first."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for number in self._numbers:
                key, until = self._key(number, "moved"), milliseconds(before)
                pipeline.zrangebyscore(key, "-inf", until, start=0, num=limit, withscores=True)
            by_partition = await pipeline.execute()
        waiting = sorted((since, text(query)) for marks in by_partition for query, since in marks)
        return list(dict.fromkeys(query for _, query in waiting))[:limit]

    async def waiting(self) -> int:
        """Return how many queries are marked (in several partitions: so many times)."""
        with transient():
            return sum([await self._redis.zcard(self._key(number, "moved")) for number in self._numbers])

    async def query_state(self, query: str) -> QueryState:
        """Return what is known of a query; touches are read before the evidence that they announce."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for number in self._numbers:
                pipeline.hget(self._key(number, "touches"), query)
                pipeline.hgetall(self._key(number, f"q:{query}"))
            pipeline.smembers(self._key(MINER, f"chosen:{query}"))
            pipeline.hgetall(self._key(MINER, f"watched:{query}"))
            *by_partition, published, watched = await pipeline.execute()
        touches, packed = by_partition[::2], by_partition[1::2]
        evidence = {
            text(product_id): RelevanceEvidence.unpack(text(row))
            for of_products in packed
            for product_id, row in of_products.items()
        }
        return QueryState(
            evidence,
            frozenset(map(text, published)),
            {text(product_id): WatchedNegative.unpack(text(row)) for product_id, row in watched.items()},
            tuple(text(touch or b"") for touch in touches),
        )

    async def acted(self, limit: int) -> list[ActedMark]:
        """Return products that shoppers began to act upon, so many of each partition at most."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for number in self._numbers:
                pipeline.srandmember(self._key(number, "acted"), limit)
            by_partition = await pipeline.execute()
        pairs = [
            (number, *text(member).rpartition("\t")[::2])
            for number, members in zip(self._numbers, by_partition, strict=True)
            for member in members
        ]
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for _, query, product_id in pairs:
                pipeline.sismember(self._key(MINER, f"chosen:{query}"), product_id)
            published = await pipeline.execute()
        return [ActedMark(*pair, bool(answer)) for pair, answer in zip(pairs, published, strict=True)]

    async def forget_acted(self, marks: Iterable[ActedMark]) -> None:
        """Take marks off that were seen to."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for mark in marks:
                pipeline.srem(self._key(mark.number, "acted"), mark.member)
            await pipeline.execute()

    async def precision(self) -> NegativePrecision:
        """Return how many negatives were looked at enough since they were mined, and acted upon."""
        return NegativePrecision(*await read_precision(self._redis, self._namespace))

    async def forget(self, query: str, read: QueryState) -> None:
        """Take the marks off a query that were there when its state was read, and were not renewed since."""
        for number, touch in zip(self._numbers, read.touches, strict=True):
            if touch:
                body = orjson.dumps({"query": query, "touch": touch})
                await self._forget(keys=[self._keys(number).state], args=[body])

    async def postpone(self, query: str, now: datetime) -> None:
        """Send a query that cannot be mined now to the end of the queue."""
        with transient():
            for number in self._numbers:
                await self._redis.zadd(self._key(number, "moved"), {query: milliseconds(now)}, xx=True)

    async def mark_all(self, now: datetime) -> None:
        """Mark every query of every partition."""
        for number in self._numbers:
            cursor = -1
            while cursor:
                with transient():
                    cursor, queries = await self._redis.sscan(
                        self._key(number, "queries"), max(cursor, 0), count=500
                    )
                body = orjson.dumps({"queries": [text(query) for query in queries], "now": milliseconds(now)})
                await self._mark(keys=[self._keys(number).state], args=[body])

    async def prepare(
        self,
        state: EvidenceState,
        negatives: Iterable[tuple[str, Sequence[str]]],
        *,
        watched: Mapping[str, Watched] = NOT_WATCHED,
        mark: bool,
        now: datetime,
    ) -> None:
        """Remember what is about to be, or was, published of queries; with `mark`, have them mined.

        Of queries in `watched`, that is what is watched from now on.
        """
        packed = {
            query: {product_id: negative.pack() for product_id, negative in of_query.items()}
            for query, of_query in watched.items()
        }
        body = {"prepared": list(negatives), "watched": packed, "mark": mark, "now": milliseconds(now)}
        await self._prepare(state, **body)

    async def commit(
        self,
        state: EvidenceState,
        query: str,
        *,
        products: Sequence[str],
        precision: NegativePrecision,
        now: datetime,
    ) -> None:
        """Remember what a query has, now that it is published; when fenced out, have it mined again."""
        counts = precision._asdict()
        await self._commit(state, query=query, products=products, **counts, now=milliseconds(now))

    async def relate(
        self, state: EvidenceState, query: str, positives: Sequence[str], *, is_specific: bool, now: datetime
    ) -> frozenset[str]:
        """Remember a query's positives, and return its co-positives: those of another query beside one.

        With `is_specific` false the query says nothing about what belongs together. Queries that share a
        product with what changed are marked.
        """
        body = {"query": query, "positives": positives, "right": positives if is_specific else ()}
        co_positives = await self._relate(state, **body, hub=HUB, now=milliseconds(now))
        return frozenset(map(text, co_positives))

    async def teach(self, state: EvidenceState, query: str, pairs: Sequence[JudgedPair]) -> None:
        """Remember what a query teaches the judge of relevance; nothing: it does not teach any more."""
        packed = orjson.dumps([tuple(pair) for pair in pairs]).decode() if pairs else ""
        await self._teach(state, query=query, pairs=packed, limit=TEACHERS)

    async def teachers(self) -> int:
        """Return how many queries teach the judge."""
        with transient():
            return int(await self._redis.hlen(self._key(MINER, "taught")))

    async def taught(self) -> dict[str, list[JudgedPair]]:
        """Return what all of them teach, by query."""
        with transient():
            packed = await self._redis.hgetall(self._key(MINER, "taught"))
        return {
            text(query): [JudgedPair(*pair) for pair in orjson.loads(pairs)]
            for query, pairs in sorted(packed.items())
        }

    async def set_mined_from(
        self, state: EvidenceState, mined_from: str, *, written: int, judges: CrossFitted, now: datetime
    ) -> None:
        """Remember that every query was marked to be mined from this index, of which so much was written.

        `judges` are those who judge from now on.
        """
        packed = judges.model_dump_json()
        await self._against(state, against=mined_from, written=written, judge=packed, now=milliseconds(now))
        state.mined_from, state.written, state.marked, state.judges = mined_from, written, now, judges

    def _keys(self, number: int) -> StateKeys:
        return miner_keys(self._namespace, number)

    def _key(self, number: int, name: str) -> str:
        return self._keys(number).key(name)
