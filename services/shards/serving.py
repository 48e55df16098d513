"""A shard in service: how far it is, who waits for it, and how fresh it has been."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from services.shards.shard import Shard
from shared import metrics
from shared.errors import TransientError

RECENT = 1000


class RefusedQueryError(TransientError):
    """A shard does not answer this query; `reason` is a stable code, the rest says how far it is."""

    def __init__(self, reason: str, explanation: str, **evidence: int | str | None) -> None:
        super().__init__(f"{reason}: {explanation}")
        self.body = {"reason": reason, "explanation": explanation, **evidence}


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
        self._freshness: deque[float] = deque(maxlen=RECENT)

    @property
    def next_offset(self) -> int:
        """The first offset that is not searchable yet."""
        return max(self.shard.view.next_offset or 0, self._start)

    @property
    def waiting_for(self) -> str | None:
        """Why it is not ready; None when it is. Once ready, it stays so."""
        self._ready = self._ready or self.next_offset >= self._target
        return None if self._ready else f"shard {self.partition} is at {self.next_offset} of {self._target}"

    async def moved(self, event_times: Iterable[datetime], now: datetime) -> None:
        """Note that records were applied, and wake whoever waits for them."""
        caught_up = self.waiting_for is None
        for event_time in event_times:
            age = max(0.0, (now - event_time).total_seconds())
            metrics.freshness.observe(age)
            if caught_up:
                self._freshness.append(age)
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

    def freshness(self, share: float) -> float | None:
        """Return that quantile of the recent ages at which records became searchable, in seconds."""
        ages = sorted(self._freshness)
        return ages[min(len(ages) - 1, int(share * len(ages)))] if ages else None
