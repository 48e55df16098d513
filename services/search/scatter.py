"""Asks one owner a partition, all at once, and gathers what they answer until the deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from schemas.search_api import PartitionReport
from services.search.domain.candidate import ShardAnswer
from services.search.domain.route import Route
from services.search.shards import LATE, ShardFailure, ShardQuery
from shared.cluster.members import OwnerRecord

Ask = Callable[[str, Sequence[int], ShardQuery], Awaitable[list[ShardAnswer]]]
"""Asks the owner at a URL for partitions; raises `ShardFailure`."""
Answers = asyncio.Future[list[ShardAnswer]]


async def scatter(ask: Ask, route: Route, query: ShardQuery, *, hedge_after: timedelta) -> list[ShardAnswer]:
    """Return one answer a partition, by number, late ones as missing."""
    hedged = HedgedQuery(ask, route, query, hedge_after=hedge_after)
    calls = (hedged.answers(url, numbers) for url, numbers in _groups(route, query))
    answers = [answer for group in await asyncio.gather(*calls) for answer in group]
    answers += [_missing(number, reason) for number, reason in route.unserved.items()]
    return sorted(answers, key=lambda answer: answer.report.partition)


class HedgedQuery:
    """A query whose partitions are asked of their replicas too, when their owner fails or is slow.

    Hedged requests: Dean, Barroso, The Tail at Scale, CACM 2013. Of two that may answer the faster counts;
    the other is called off.
    """

    def __init__(self, ask: Ask, route: Route, query: ShardQuery, *, hedge_after: timedelta) -> None:
        self._ask = ask
        self._route = route
        self._query = query
        self._hedge_after = hedge_after.total_seconds()

    async def answers(self, url: str, partitions: Sequence[int]) -> list[ShardAnswer]:
        """Return the answers of one owner, for each partition or of who stands in for it there."""
        first = asyncio.ensure_future(self._ask(url, partitions, self._query))
        try:
            await asyncio.wait({first}, timeout=min(self._hedge_after, self._query.remaining()))
            if first.done() and first.exception() is None:
                return first.result()
            # From here on each partition is on its own: its replicas are others than its neighbour's. The
            # first call goes on if it was only slow, because it may still be the fastest of all.
            again = url if _refused_several(first, partitions) else None
            races = (
                self._race(number, first, backups=_backups(self._route.choices[number], url, again))
                for number in partitions
            )
            return await asyncio.gather(*races)
        finally:
            first.cancel()  # not in a race: it is in the races of all its partitions

    async def _race(self, number: int, first: Answers, *, backups: Sequence[str]) -> ShardAnswer:
        """Return the first good answer for one partition: of the owner asked first, or of a backup."""
        backup = asyncio.ensure_future(self._one_of(backups, number)) if backups else None
        running: set[Answers] = {first} if backup is None else {first, backup}
        reason = LATE
        try:
            while running and (left := self._query.remaining()) > 0:
                done, running = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                failures = [error for call in done if (error := call.exception()) is not None]
                for call in done:
                    if call.exception() is None:
                        return next(answer for answer in call.result() if answer.report.partition == number)
                for error in failures:
                    if not isinstance(error, ShardFailure):
                        raise error
                    reason = str(error)  # the one before is of a call that a backup was asked besides
        finally:
            if backup is not None:
                backup.cancel()
        return _missing(number, reason)

    async def _one_of(self, urls: Sequence[str], number: int) -> list[ShardAnswer]:
        """Ask one replica after another; raises the failure of the last."""
        for url in urls[:-1]:
            try:
                return await self._ask(url, [number], self._query)
            except ShardFailure:
                continue
        return await self._ask(urls[-1], [number], self._query)


def _refused_several(first: Answers, partitions: Sequence[int]) -> bool:
    """Say whether an owner refused a question for several partitions.

    It refuses as a whole, though perhaps it has lost the lease of one only: asked for each alone, it
    answers for the others.
    """
    if not first.done() or len(partitions) == 1:
        return False
    error = first.exception()
    return isinstance(error, ShardFailure) and error.kind == "refused"


def _backups(choices: Sequence[OwnerRecord], url: str, again: str | None) -> list[str]:
    """Return whom to ask instead, replicas before the owner itself."""
    replicas = [owner.url for owner in choices if owner.url != url]
    return replicas if again is None else [*replicas, again]


def _groups(route: Route, query: ShardQuery) -> list[tuple[str, list[int]]]:
    """Return what to ask of whom: one question an owner.

    With `min_offsets` it is one a partition, as one that is behind must not hold up its neighbours.
    """
    apart = query.min_offsets is not None
    groups: dict[tuple[str, int], list[int]] = {}
    for number, choices in route.choices.items():
        if choices:
            groups.setdefault((choices[0].url, number if apart else 0), []).append(number)
    return [(url, numbers) for (url, _), numbers in groups.items()]


def _missing(number: int, reason: str) -> ShardAnswer:
    report = PartitionReport(
        partition=number, answered=False, owner=None, epoch=None, next_offset=None, reason=reason
    )
    return ShardAnswer(report)
