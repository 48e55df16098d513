"""Fills an input partition of a new generation from the index records of the one that it is built from.

Each product is embedded, published and stored without an offset, so that a kill leaves what is whole and says
that it is not all: the next attempt finds those products as they are, and goes on with the others.
"""

from dataclasses import replace

import structlog

from schemas.index import IndexRecord
from services.embedder import metrics
from services.embedder.domain.backfill import Survey, take_over
from services.embedder.domain.plan import Touched, plan
from services.embedder.records import RecordLog
from services.embedder.store import DocumentStore, Tenure
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

    async def run(self, tenure: Tenure) -> int | None:
        """Take over what there is; returns where changes are read from (None: from their beginning)."""
        survey = Survey(tenure.partition.topic, tenure.partition.number)
        async for record in self._source.scan():
            survey.note(record.value, record.batch_start, record.offset)
        waiting: list[IndexRecord] = []
        taken = 0
        async for record in self._source.scan():
            if (picked := survey.pick(record.value, record.offset)) is not None:
                waiting.append(picked)
            if len(waiting) >= AT_ONCE:
                taken += await self._take(tenure, waiting)
                waiting.clear()
        taken += await self._take(tenure, waiting)
        log.info(
            "backfill.done",
            partition=str(tenure.partition),
            products=taken,
            next_offset=survey.next_offset,
        )
        return survey.next_offset

    async def _take(self, tenure: Tenure, records: list[IndexRecord]) -> int:
        """Take over some products; returns how many were not there yet."""
        latest = {record.product_id: record for record in records}
        known = await self._store.read(tenure, list(latest))
        touched: list[Touched] = []
        for product_id, record in latest.items():
            if (found := take_over(record, known.get(product_id))) is not None:
                touched.append(found)
        metrics.backfilled.labels("known").inc(len(latest) - len(touched))
        if touched:
            items = [plan(each, self._writer.recipe) for each in touched]
            writes = await self._writer.send(tenure, items, start=None)
            await self._store.restore(tenure, [replace(write, embedded=True) for write in writes])
        metrics.backfilled.labels("taken").inc(len(touched))
        return len(touched)
