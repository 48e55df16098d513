"""Reading the windows' counts: by query for the API, overall for the position rates."""

from collections.abc import Mapping
from datetime import timedelta

from redis.asyncio import Redis

from services.judgements.domain.counts import Pair, PairCounts, Totals
from services.judgements.domain.statistics import position_rates
from services.judgements.state import States, numbers
from shared.adapters.redis import text, transient
from shared.partitioning import partition_of
from shared.ports import Clock

FRESH = timedelta(seconds=5)

Rates = Mapping[str, Mapping[int, float]]


class WindowCounts:
    """What all windows of an incarnation hold, whoever owns them."""

    def __init__(self, redis: Redis, states: States, *, partitions: int, clock: Clock) -> None:
        self._redis = redis
        self._states = states
        self._partitions = partitions
        self._clock = clock
        self._rates: Rates = {}
        self._read_at = clock.now() - 2 * FRESH

    async def rates(self, incarnation: int) -> Rates:
        """Return the position rates over all partitions, at most a few seconds old."""
        now = self._clock.now()
        if now - self._read_at >= FRESH:
            self._rates = position_rates(await self._totals(incarnation))
            self._read_at = now
        return self._rates

    async def _totals(self, incarnation: int) -> Totals:
        totals = Totals()
        for number in range(self._partitions):
            with transient():
                fields = await self._redis.hgetall(self._key(number, incarnation, "totals"))
            for name, count in numbers(fields).items():
                totals.add(name, count)
        return totals

    async def of_query(self, query: str, incarnation: int, *, first: int) -> dict[Pair, PairCounts]:
        """Return what is counted for a normalised query in the window that begins on day `first`."""
        number = partition_of(query.encode(), self._partitions)
        found = {}
        with transient():
            for product in await self._redis.smembers(self._key(number, incarnation, f"p:{query}")):
                pair = Pair(query, text(product))
                key = self._key(number, incarnation, f"c:{pair.query}\t{pair.product_id}")
                fields = await self._redis.hgetall(key)
                found[pair] = PairCounts.of(numbers(fields), first)
        return {pair: counts for pair, counts in found.items() if not counts.empty}

    def _key(self, number: int, incarnation: int, name: str) -> str:
        return self._states.key(number, incarnation).removesuffix("state") + name
