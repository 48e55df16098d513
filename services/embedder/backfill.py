"""Fills a home of a new generation from the index records of the one that it is built from.

Each product is embedded, published and stored without an offset, so that a kill leaves what is whole and says
that it is not all: the next attempt finds those products as they are, and goes on with the others.
"""

import structlog
from msgspec.structs import replace

from schemas.index import AnyRecord
from services.embedder import metrics
from services.embedder.domain.backfill import Survey, joined, take_over
from services.embedder.domain.plan import Touched, plan
from services.embedder.domain.recovery import Proven
from services.embedder.home import HomeState
from services.embedder.records import RecordLog
from services.embedder.store import DocumentStore
from services.embedder.writer import RecordWriter

log = structlog.get_logger()

AT_ONCE = 64
"""Products embedded at once: a kill repeats no more, and changes wait for no more."""


class Backfill:
    """Replays `source` into the store and the topic of a new generation."""

    def __init__(self, source: RecordLog, store: DocumentStore, writer: RecordWriter) -> None:
        self._source = source
        self._store = store
        self._writer = writer

    async def run(self, home: HomeState) -> dict[str, Proven]:
        """Take over what there is; returns where each log is read from (not there: from its beginning)."""
        survey = Survey()
        async for published in self._source.scan(home.number):
            survey.note(published)
        waiting: list[AnyRecord] = []
        taken = 0
        async for published in self._source.scan(home.number):
            if (picked := survey.pick(published)) is not None:
                waiting.append(picked)
            if len(waiting) >= AT_ONCE:
                taken += await self._take(home, waiting)
                waiting.clear()
        taken += await self._take(home, waiting)
        log.info("backfill.done", home=home.number, products=taken, offsets=survey.offsets)
        return survey.offsets

    async def _take(self, home: HomeState, records: list[AnyRecord]) -> int:
        """Take over some products; returns how many were not there yet."""
        latest = joined(records)
        stored = await self._store.read(home, list(latest))
        touched: list[Touched] = []
        for product_id, record in latest.items():
            if (product := take_over(record, stored.get(product_id))) is not None:
                touched.append(product)
        metrics.backfilled.labels("known").inc(len(latest) - len(touched))
        if touched:
            items = [plan(product, self._writer.recipe, anew=True) for product in touched]
            writes = await self._writer.send(home, items, replayed=True)
            embedded = [replace(write, embedded=write.product.embedding.read) for write in writes]
            await self._store.restore(home, embedded)
        metrics.backfilled.labels("taken").inc(len(touched))
        return len(touched)
