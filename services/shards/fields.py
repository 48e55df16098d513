"""What attributes a shard's products have: one pass over all of them, remembered until they moved."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from schemas.shard_api import PartitionFields
from services.shards.domain.fields import summarise
from services.shards.serving import Serving
from services.shards.view import View

REMEMBERED_SECONDS = 10.0
"""A summary may be as old: a pass reads every product, and may be asked for with every typing error."""


class _Known(NamedTuple):
    summary: PartitionFields
    next_offset: int
    made_at: float


class FieldSummaries:
    """Answers `GET /fields` of the shards that are served here; one pass at a time a shard, in a thread."""

    def __init__(
        self, in_thread: Callable[[Callable[[], PartitionFields]], Awaitable[PartitionFields]]
    ) -> None:
        self._in_thread = in_thread
        self._known: WeakKeyDictionary[Serving, _Known] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[Serving, asyncio.Lock] = WeakKeyDictionary()

    async def of(self, serving: Serving) -> PartitionFields:
        """Return the attributes of its products, at most `REMEMBERED_SECONDS` old."""
        async with self._locks.setdefault(serving, asyncio.Lock()):
            now = asyncio.get_running_loop().time()
            known = self._known.get(serving)
            if known is not None and _holds(known, serving, now):
                return known.summary
            view = serving.shard.view
            summary = await self._in_thread(lambda: _summary(serving.partition, view))
            self._known[serving] = _Known(summary, serving.next_offset, now)
            return summary


def _holds(known: _Known, serving: Serving, now: float) -> bool:
    return known.next_offset == serving.next_offset or now - known.made_at < REMEMBERED_SECONDS


def _summary(partition: int, view: View) -> PartitionFields:
    fields, unnamed = summarise(place.part.parsed_fields(place.number) for place in view.places())
    return PartitionFields(partition=partition, documents=view.documents, fields=fields, unnamed=unnamed)
