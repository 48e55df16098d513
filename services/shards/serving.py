"""A shard in service: how far it is, who waits for it, and how fresh it has been."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from prometheus_client import Histogram

from schemas.index import AnyRecord
from schemas.shard_api import ShardRefusal
from services.shards.shard import Shard
from shared import metrics
from shared.errors import TransientError

RECENT = 1000


class RefusedQueryError(TransientError):
    """A shard does not answer this query; the refusal is what it says instead."""

    def __init__(
        self,
        reason: str,
        explanation: str,
        *,
        partition: int | None = None,
        next_offset: int | None = None,
        wanted: int | None = None,
    ) -> None:
        super().__init__(f"{reason}: {explanation}")
        self.refusal = ShardRefusal(
            reason=reason,
            explanation=explanation,
            partition=partition,
            next_offset=next_offset,
            wanted=wanted,
        )


class RecentAges:
    """The recent ages at which records became searchable, by one clock; all of them go into the metric."""

    def __init__(self, metric: Histogram) -> None:
        self._metric = metric
        self._seconds: deque[float] = deque(maxlen=RECENT)

    def measure(self, age: timedelta, *, counts: bool) -> None:
        """Take one; what does not count (of what was there before its shard was ready) is measured only."""
        seconds = max(0.0, age.total_seconds())
        self._metric.observe(seconds)
        if counts:
            self._seconds.append(seconds)

    def quantile(self, share: float) -> float | None:
        """Return that quantile in seconds; None: there is none yet."""
        ages = sorted(self._seconds)
        return ages[min(len(ages) - 1, int(share * len(ages)))] if ages else None


class Serving:
    """One owned shard; it is ready once it has applied all that the log held when it was taken over."""

    def __init__(self, shard: Shard, *, partition: int, epoch: int, start: int, target: int) -> None:
        self.shard = shard
        self.partition = partition
        self.epoch = epoch
        self.end_offset = target
        self._start = start
        self._target = target
        self._moved = asyncio.Condition()
        self._ready = start >= target
        self.freshness = RecentAges(metrics.freshness)
        """Since the changes were made, as their producers say."""
        self.ingestion = RecentAges(metrics.ingestion)
        """Since the broker appended them."""

    @property
    def next_offset(self) -> int:
        """The first offset that is not searchable yet."""
        return max(self.shard.view.next_offset or 0, self._start)

    @property
    def waiting_for(self) -> str | None:
        """Why it is not ready; None when it is. Once ready, it stays so."""
        self._ready = self._ready or self.next_offset >= self._target
        return None if self._ready else f"shard {self.partition} is at {self.next_offset} of {self._target}"

    async def moved(self, records: Iterable[AnyRecord], now: datetime) -> None:
        """Note that records were applied, and wake whoever waits for them."""
        caught_up = self.waiting_for is None
        for record in records:
            self.freshness.measure(now - record.event_time, counts=caught_up)
            if (appended_at := record.appended_at) is not None:
                self.ingestion.measure(now - appended_at, counts=caught_up)
        async with self._moved:
            self._moved.notify_all()

    async def reached(self, offset: int, timeout: timedelta) -> None:
        """Return when `offset` is searchable; raises `RefusedQueryError` (`behind`) after `timeout`."""
        try:
            async with asyncio.timeout(timeout.total_seconds()), self._moved:
                await self._moved.wait_for(lambda: self.next_offset >= offset and self.waiting_for is None)
        except TimeoutError:
            raise RefusedQueryError(
                "behind",
                f"shard {self.partition} has applied up to {self.next_offset}, not {offset}",
                partition=self.partition,
                next_offset=self.next_offset,
                wanted=offset,
            ) from None
