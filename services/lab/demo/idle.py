"""When a worker has nothing more to do: its backlog is empty, and what it publishes grows no more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from rich.progress import Progress

from services.lab.demo.client import DemoClient
from shared.errors import TransientError

SECOND = timedelta(seconds=1)
QUIET = timedelta(seconds=8)
"""Time without news after which a stream has said everything."""
FIRST_WITHIN = timedelta(seconds=60)
IDLE_WITHIN = timedelta(minutes=10)
LOOK_SECONDS = 0.5


class BacklogSeries(NamedTuple):
    """A worker, and a series of its metrics that is 0 when it has nothing more to do."""

    worker: str
    series: str


JUDGING = BacklogSeries("judgements", "headrace_lag_messages")
MINING = BacklogSeries("negatives", "headrace_negatives_waiting_queries")


async def wait_until_idle(
    client: DemoClient, count: Callable[[], int], backlog: BacklogSeries, bars: Progress, *, title: str
) -> None:
    """Return when the backlog is empty and the count has not grown for a while; it must come above 0.

    Raises `TransientError` when nothing comes, or when there is no end of it.
    """
    bar = bars.add_task(title, total=None, note="")
    loop = asyncio.get_running_loop()
    newest, moved_at, began = -1, loop.time(), loop.time()
    while newest <= 0 or loop.time() - moved_at < QUIET / SECOND:
        now = count()
        # Before the first result the backlog may read 0 because the worker has not seen its topic grow yet.
        if now != newest or (now and await client.metric(backlog.worker, backlog.series)):
            newest, moved_at = now, loop.time()
            bars.update(bar, completed=now)
        if newest <= 0 and loop.time() - moved_at > FIRST_WITHIN / SECOND:
            raise TransientError(f"{backlog.worker} published nothing within {FIRST_WITHIN}")
        if loop.time() - began > IDLE_WITHIN / SECOND:
            raise TransientError(f"{backlog.worker} is still at it after {IDLE_WITHIN}")
        await asyncio.sleep(LOOK_SECONDS)
