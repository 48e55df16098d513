"""Reading the windows' counts: by query for the API, of very many pairs for the fit."""

from collections.abc import AsyncIterator, Mapping, Sequence

from redis.asyncio import Redis

from services.judgements.domain.counts import PairCounts, QueryProduct, Totals
from services.judgements.domain.examination import ExaminationEvidence
from services.judgements.domain.expectations import Expectations
from services.judgements.state import States, numbers, scan_queries
from shared.kafka.partitioning import partition_of
from shared.state.redis import text, transient

QUERIES_AT_ONCE = 100
ENOUGH_PAIRS = 200_000
"""A fit takes whole partitions until it has so many pairs: queries are spread over them at random."""
NONE = Expectations()


class WindowCounts:
    """What all windows of an incarnation hold, whoever owns them."""

    def __init__(self, redis: Redis, states: States, *, partitions: int) -> None:
        self._redis = redis
        self._states = states
        self._partitions = partitions
        self._known: tuple[bytes | str, Expectations] = (b"", NONE)

    async def expectations(self, incarnation: int) -> Expectations:
        """Return what is expected of products, by the last fit; nothing is before the first."""
        with transient():
            raw = await self._redis.get(self._key(0, incarnation, "expectations"))
        if raw is None:
            return NONE
        if raw != self._known[0]:
            self._known = (raw, Expectations.decode(raw))
        return self._known[1]

    async def outcomes(self, incarnation: int) -> int:
        """Return how many impressions and actions all windows hold."""
        return sum([(await self._totals(number, incarnation)).count for number in range(self._partitions)])

    async def evidence(self, incarnation: int, *, first: int) -> ExaminationEvidence:
        """Return what a fit needs of the window that begins on day `first`."""
        evidence = ExaminationEvidence()
        for number in range(self._partitions):
            evidence.totals.merge(await self._totals(number, incarnation))
            async for queries in self._queries(number, incarnation):
                for counts in (await self._pairs(number, incarnation, queries, first=first)).values():
                    evidence.add(counts)
            if len(evidence) >= ENOUGH_PAIRS:
                break
        return evidence

    async def of_query(self, query: str, incarnation: int, *, first: int) -> dict[QueryProduct, PairCounts]:
        """Return what is counted for a normalised query in the window that begins on day `first`."""
        number = partition_of(query.encode(), self._partitions)
        pairs = await self._pairs(number, incarnation, [query], first=first)
        return {pair: counts for pair, counts in pairs.items() if not counts.empty}

    async def _totals(self, number: int, incarnation: int) -> Totals:
        totals = Totals()
        with transient():
            fields = await self._redis.hgetall(self._key(number, incarnation, "totals"))
        for name, count in numbers(fields).items():
            totals.add(name, count)
        return totals

    async def _queries(self, number: int, incarnation: int) -> AsyncIterator[list[str]]:
        keys, cursor = self._states.keys(number, incarnation), -1
        while cursor:
            cursor, queries = await scan_queries(self._redis, keys, max(cursor, 0))
            for start in range(0, len(queries), QUERIES_AT_ONCE):
                yield queries[start : start + QUERIES_AT_ONCE]

    async def _pairs(
        self, number: int, incarnation: int, queries: Sequence[str], *, first: int
    ) -> dict[QueryProduct, PairCounts]:
        """Return the pairs of some queries of one partition, in two round trips."""
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for query in queries:
                pipeline.hgetall(self._key(number, incarnation, f"n:{query}"))
                pipeline.smembers(self._key(number, incarnation, f"p:{query}"))
            answers = await pipeline.execute()
            searches = {
                query: sum(count for day, count in numbers(days).items() if int(day) >= first)
                for query, days in zip(queries, answers[::2], strict=True)
            }
            pairs = [
                QueryProduct(query, text(product))
                for query, products in zip(queries, answers[1::2], strict=True)
                for product in products
            ]
            for query, product in pairs:
                pipeline.hgetall(self._key(number, incarnation, f"c:{query}\t{product}"))
            fields: Sequence[Mapping[bytes | str, bytes | str]] = await pipeline.execute()
        return {
            pair: PairCounts.of(numbers(counted), first, searches[pair.query])
            for pair, counted in zip(pairs, fields, strict=True)
        }

    def _key(self, number: int, incarnation: int, name: str) -> str:
        return self._states.keys(number, incarnation).key(name)
