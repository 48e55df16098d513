"""Fills a home of a new generation from the index records of the one that it is built from.

Each product is embedded, published and stored without an offset, so that a kill leaves what is whole and says
that it is not all: the next attempt finds those products as they are, and goes on with the others.

It is in nobody's way. Its texts go after those of every change, in passes that are small, and on a core less
than there are (`shared.encoder.batcher`); what it does in the event loop it does a product at a time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import structlog
from msgspec.structs import replace

from schemas.index import AnyRecord
from services.embedder import metrics
from services.embedder.domain.backfill import Survey, joined, take_over
from services.embedder.domain.pace import STEP
from services.embedder.domain.plan import Planned, plan
from services.embedder.domain.recovery import Proven, Published
from services.embedder.domain.steps import portions
from services.embedder.home import HomeState
from services.embedder.records import RecordLog
from services.embedder.store import DocumentStore
from services.embedder.writer import RecordWriter

log = structlog.get_logger()
T = TypeVar("T")

AT_ONCE = 64
"""Products read at once. They are embedded in steps of a quarter of a second: a kill repeats no more."""
SURVEYED = 200_000
"""Of a home with more records, the products are taken over in parts, each after a survey of its own, which
remembers 150 bytes a product, and as much again where its price changed."""
WITHOUT_PAUSE = 32
"""Records that are looked at before others have their turn: less than a millisecond."""
LOOK_SECONDS = 0.01
REST, LONGEST_REST = 10, 2.0
"""After a step it rests so many times as long as the event loop is late, in seconds at most: a loop that is
late lacks a core, and so do the changes of today, here and in the other workers of the machine."""


async def give_way(
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Rest for as long as it takes, by how late the event loop is."""
    due = clock() + LOOK_SECONDS
    await sleep(LOOK_SECONDS)
    await sleep(min(LONGEST_REST, REST * max(0.0, clock() - due)))


class Backfill:
    """Replays `source` into the store and the topic of a new generation."""

    def __init__(
        self,
        source: RecordLog,
        store: DocumentStore,
        writer: RecordWriter,
        *,
        surveyed: int = SURVEYED,
        rest: Callable[[], Awaitable[None]] = give_way,
    ) -> None:
        self._rest = rest
        self._source = source
        self._store = store
        self._writer = writer
        self._surveyed = surveyed

    async def run(self, home: HomeState) -> dict[str, Proven]:
        """Take over what there is; returns where each log is read from (not there: from its beginning).

        Cancelled, it ends with the step in hand.
        """
        parts = 1 + await self._source.end(home.number) // self._surveyed
        surveys = [Survey(part, parts) for part in range(parts)]
        taken = 0
        for survey in surveys:
            async for published in self._records(home):
                survey.note(published)
            taken += await self._take_all(home, survey)
            survey.forget()
        offsets = surveys[0].offsets  # what came after the first survey is of changes that will be read
        log.info("backfill.done", home=home.number, products=taken, offsets=offsets)
        return offsets

    async def _records(self, home: HomeState) -> AsyncIterator[Published]:
        """Yield the records of the home; now and then others have their turn."""
        looked_at = 0
        async for published in self._source.scan(home.number):
            yield published
            looked_at += 1
            if looked_at % WITHOUT_PAUSE == 0:
                await asyncio.sleep(0)

    async def _take_all(self, home: HomeState, survey: Survey) -> int:
        """Take over the products that were surveyed; returns how many were not there yet."""
        waiting: list[AnyRecord] = []
        taken = 0
        async for published in self._records(home):
            if (picked := survey.pick(published)) is not None:
                waiting.append(picked)
            if len(waiting) >= AT_ONCE:
                taken += await self._take(home, waiting)
                waiting.clear()
        return taken + await self._take(home, waiting)

    async def _take(self, home: HomeState, records: Sequence[AnyRecord]) -> int:
        """Take over some products; returns how many were not there yet."""
        latest = joined(records)
        stored = await self._store.read(home, list(latest))
        items: list[Planned] = []
        for product_id, record in latest.items():
            if (product := take_over(record, stored.get(product_id))) is not None:
                items.append(plan(product, self._writer.recipe, anew=True))
                await asyncio.sleep(0)
        metrics.backfilled.labels("known").inc(len(latest) - len(items))
        for step in portions(items, attrgetter("characters"), self._most):
            await _to_its_end(self._embed(home, step))
            await self._rest()
        return len(items)

    async def _embed(self, home: HomeState, items: Sequence[Planned]) -> None:
        writes = await self._writer.send(home, items, replayed=True)
        embedded = [replace(write, embedded=write.product.embedding.read) for write in writes]
        await self._store.restore(home, embedded)
        metrics.backfilled.labels("taken").inc(len(items))

    def _most(self) -> int:
        return self._writer.pace.characters_within(STEP)


async def _to_its_end(step: Coroutine[Any, Any, T]) -> T:  # Any: what nobody sends
    """Await a step to its end, also when the caller is cancelled meanwhile: what was embedded is kept.

    Cancelled once more, the caller waits no longer, and the step ends as it is.
    """
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("backfill.step_failed", error=str(error))
        raise
    finally:
        task.cancel()
