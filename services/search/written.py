"""Waiting for what was written: from offsets of the catalogue's changes to what every answer has seen.

What a producer knows of its message is where it lies in the changes; what a shard knows is how far it is in
the index. Between them is the embedder, whose state says how far it is: a change below that offset is
published to the index, or changes nothing. So: wait for the embedder, ask where the index ends now, wait for
the shard. A search that names what was written does the last step itself: its `min_offsets` are these ends.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol, TypeVar

from redis.asyncio import Redis

from schemas.catalogue import ProductChange
from schemas.search_api import SearchableRequest, SearchableResponse, SearchRequest, SimilarRequest
from schemas.topics import index_records
from services.search.domain.route import Route, route
from services.search.engine import SearchDependencies
from services.search.refusals import unavailable
from services.search.scatter import scatter
from services.search.shards import WAIT_SHARE, ShardQuery
from shared.errors import TransientError
from shared.generations.homes import read_applied
from shared.http.problem import Refusal
from shared.kafka.offsets import BrokerLog
from shared.records import Partition

POLL = timedelta(milliseconds=25)
ANY_TEXT = "-"
HURRY_MS = 500
"""What a search gets that has waited in vain: enough to say which partitions are behind."""
Asked = TypeVar("Asked", SearchRequest, SimilarRequest)


class CatalogueProgress(Protocol):
    """How far a generation is, by home; raises `TransientError` when nobody can say."""

    async def applied(self, generation: str, home: int) -> int | None:
        """Return the first change that is not published to the index yet; None: none is."""
        ...

    async def end(self, generation: str, home: int) -> int:
        """Return where the index records of the home end now."""
        ...


class StoredProgress:
    """What the embedder's state in Redis and the broker say."""

    def __init__(self, redis: Redis, namespace: str, edges: BrokerLog) -> None:
        self._redis = redis
        self._namespace = namespace
        self._edges = edges

    async def applied(self, generation: str, home: int) -> int | None:
        """See `CatalogueProgress`."""
        return await read_applied(
            self._redis, self._namespace, generation, home=home, topic=ProductChange.topic
        )

    async def end(self, generation: str, home: int) -> int:
        """See `CatalogueProgress`."""
        return (await self._edges.edges(Partition(index_records(generation).name, home)))[1]


class WrittenChanges:
    """Answers when changes are searchable; raises `Refusal` when that cannot be known."""

    def __init__(
        self, dependencies: SearchDependencies, progress: CatalogueProgress, *, timeout: timedelta
    ) -> None:
        self._generations = dependencies.generations
        self._owners = dependencies.owners
        self._shards = dependencies.shards
        self._progress = progress
        self._timeout = timeout

    async def wait(self, request: SearchableRequest) -> SearchableResponse:
        """Return when everything below the offsets is searchable, or the time of the request is over."""
        generation = self._generations.choose(request.generation)
        limit = request.timeout_ms / 1000 if request.timeout_ms else self._timeout.total_seconds()
        wait = _Wait(generation, request.offsets, asyncio.get_running_loop().time() + limit)
        try:
            partitions = await self._partitions(wait)
            async with asyncio.timeout(limit):
                await self._wait(wait)
        except TimeoutError:
            pass
        except TransientError as error:
            raise unavailable(str(error)) from error
        return SearchableResponse(
            generation=generation,
            searchable=wait.waiting_for is None,
            waiting_for=wait.waiting_for,
            partitions=partitions,
            min_offsets=wait.ends,
        )

    async def seen(self, request: Asked) -> Asked:
        """Return the search with `min_offsets` behind what was `written`, and the time that is left for it.

        The offsets are of one generation: the one that answers now is asked, also when another goes live
        meanwhile. Raises `Refusal`: 504 when the index does not have it within its share of the time.
        """
        clock, generation = asyncio.get_running_loop().time, self._generations.choose(request.generation)
        limit = request.timeout_ms / 1000 if request.timeout_ms else self._timeout.total_seconds()
        deadline = clock() + limit
        wait = _Wait(generation, request.written or {}, deadline)
        known, is_there = request.min_offsets or {}, False
        try:
            async with asyncio.timeout(limit * WAIT_SHARE):
                if request.written is not None:
                    await self._partitions(wait)
                    await self._indexed(wait)
                wait.is_indexed = True
                wait.ends = {
                    **known,
                    **{number: max(known.get(number, 0), end) for number, end in wait.ends.items()},
                }
                is_there = await self._unserved(wait) is None
        except TimeoutError:
            if not wait.is_indexed:
                raise _not_yet(wait.waiting_for) from None
        except TransientError as error:
            raise unavailable(str(error)) from error
        left = max(1, int((deadline - clock()) * 1000))
        asked = {"min_offsets": wait.ends, "timeout_ms": left if is_there else min(left, HURRY_MS)}
        named = {"generation": generation} if request.written is not None else {}
        return request.model_copy(update={**asked, **named})

    async def _partitions(self, wait: "_Wait") -> int:
        """Return how many the index has; raises `Refusal` when a change lies where no product is at home."""
        partitions = (await self._route(wait.generation)).partitions
        if not partitions:
            raise unavailable(f"generation {wait.generation} has no shards")
        if strange := [number for number in wait.offsets if number >= partitions]:
            raise Refusal(
                422,
                "partition.unknown",
                f"the index has {partitions} partitions: what is written to partition {strange[0]} of the "
                "changes is forwarded to the home of its product",
                fix=f"write to the partition that murmur2 of the product id gives among {partitions}",
            )
        return partitions

    async def _wait(self, wait: "_Wait") -> None:
        await self._indexed(wait)
        while (reason := await self._unserved(wait)) is not None:
            wait.waiting_for = reason
            self._owners.forget(wait.generation)
            await asyncio.sleep(POLL.total_seconds())
        wait.waiting_for = None

    async def _indexed(self, wait: "_Wait") -> None:
        """Return when all of it is in the index, and `wait.ends` says where."""
        for number, offset in wait.offsets.items():
            while ((applied := await self._progress.applied(wait.generation, number)) or 0) < offset:
                wait.waiting_for = f"the embedder is at {applied or 0} of {offset} in partition {number}"
                await asyncio.sleep(POLL.total_seconds())
        wait.waiting_for = "the broker does not say where the index ends"
        wait.ends = {number: await self._progress.end(wait.generation, number) for number in wait.offsets}

    async def _unserved(self, wait: "_Wait") -> str | None:
        """Return what keeps a shard from having seen the ends; None: all have."""
        plan = await self._route(wait.generation)
        homes = Route(
            plan.partitions,
            {number: plan.choices[number] for number in wait.ends if number in plan.choices},
            {number: reason for number, reason in plan.unserved.items() if number in wait.ends},
        )
        query = ShardQuery(
            generation=wait.generation,
            mode="lexical",
            k=1,
            deadline=wait.deadline,
            text=ANY_TEXT,
            min_offsets=wait.ends,
        )
        answers = await scatter(
            self._shards.query, homes, query, hedge_after=timedelta(seconds=query.remaining())
        )
        return next((answer.report.reason for answer in answers if not answer.report.answered), None)

    async def _route(self, generation: str) -> Route:
        return route(await self._owners.of(generation), fingerprint=None)


class _Wait:
    """How one wait stands."""

    def __init__(self, generation: str, offsets: Mapping[int, int], deadline: float) -> None:
        self.generation = generation
        self.offsets = offsets
        self.deadline = deadline
        self.ends: dict[int, int] = {}
        self.is_indexed = False
        self.waiting_for: str | None = "nothing was asked yet"


def _not_yet(waiting_for: str | None) -> Refusal:
    return Refusal(
        504,
        "timeout",
        f"what was written is not in the index yet: {waiting_for}",
        fix="ask again, or give a larger `timeout_ms`",
    )
