"""How often words are in a whole generation, so that scores are the same whoever serves its shards."""

import asyncio
from collections import OrderedDict
from datetime import timedelta
from typing import NamedTuple

from schemas.shard_frames import TermStatistics
from services.search.domain.route import Route
from services.search.shards import ShardClient, ShardFailure, ShardQuery

REMEMBERED = 4096
"""Texts whose words are remembered, the latest of them."""
SECONDS = 2.0
"""So old counts may be: they change a score in its last digits."""


class _Known(NamedTuple):
    counted_at: float
    statistics: TermStatistics


class WordCounts:
    """Counts the words of queries over all shards; a moment's counts are remembered."""

    def __init__(self, shards: ShardClient, *, wait: timedelta) -> None:
        self._shards = shards
        self._wait = wait.total_seconds()
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def of(self, route: Route, query: ShardQuery) -> TermStatistics | None:
        """Return the counts; None: whoever is asked knows them.

        Who does not say in time is not counted: he will be missing from the answer, too.
        """
        if not query.words or _served_by_each(route):
            return None
        key, now = (query.generation, query.words), asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is not None and now - known.counted_at < SECONDS:
            return known.statistics
        counts, complete = await self._counted(route, query)
        counted = total(counts)
        if counted is not None and complete:
            self._known[key] = _Known(now, counted)
            self._known.move_to_end(key)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return counted

    async def _counted(self, route: Route, query: ShardQuery) -> tuple[list[TermStatistics], bool]:
        """Return what the owners say, and whether all of them did."""
        by_owner: dict[str, list[int]] = {}
        for number, choices in route.choices.items():
            if choices:
                by_owner.setdefault(choices[0].url, []).append(number)
        asked = [
            asyncio.ensure_future(self._shards.statistics(url, numbers, query))
            for url, numbers in by_owner.items()
        ]
        if not asked:
            return [], False
        done, late = await asyncio.wait(asked, timeout=min(self._wait, query.remaining()))
        for one in late:
            one.cancel()
        failed = [error for one in done if (error := one.exception()) is not None]
        for error in failed:
            if not isinstance(error, ShardFailure):
                raise error
        return [one.result() for one in done if one.exception() is None], not (late or failed)


def total(counts: list[TermStatistics]) -> TermStatistics | None:
    """Return the counts of all of these; None where they are of other terms."""
    if len({len(one.frequencies) for one in counts}) != 1:
        return None
    return TermStatistics(
        sum(one.documents for one in counts),
        sum(one.title_terms for one in counts),
        sum(one.body_terms for one in counts),
        tuple(map(sum, zip(*(one.frequencies for one in counts), strict=True))),
    )


def _served_by_each(route: Route) -> bool:
    """Say whether each process that may be asked serves every partition."""
    served: dict[str, int] = {}
    for choices in route.choices.values():
        for owner in choices:
            served[owner.url] = served.get(owner.url, 0) + 1
    return set(served.values()) <= {route.partitions}
