"""What is patched of aiokafka 0.14: its fetcher, in three places; nothing of Faust's.

**How batches are read, on every broker** (at import). One record that aiokafka cannot read, or one that is
decompressed to more than there is memory, would end every worker that meets it: `shared.kafka.fetched` reads
each by itself, and never more than a bounded part. And what is not committed is not read, by anybody.

**How a fetch ends, on every broker** (at import). A consumer that is stopped cancels its fetches and awaits
them, and a fetch takes its cancellation for the end of what it does, unless it is in the pause that follows a
failed one: then it raises it at whoever stops the consumer. While a broker is away most fetches are in that
pause. Faust's consumer thread died of it, and its worker never ended.

**How often it is asked, on the embedded broker only** (`pause_after_empty_answers`, when
`Settings.kafka_embedded`). A broker holds a fetch up until there is something to read or the consumer's
longest wait is over. noida-db answers at once, with nothing; aiokafka asks again at once, some 2,000 times a
second and partition, and an idle worker uses most of a core. So an empty answer that came early is followed
by a pause, a longer one each time until something comes.

All are of the class, not of a consumer, so that Faust's own consumer needs no subclass.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import Fetcher

from shared.kafka.fetched import BoundedFetchResult, FetchedBatches, SeparateRecords

FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.05
EARLY = 0.5
"""An empty answer within this share of the longest wait came early."""

Fetch = Callable[..., Awaitable[bool]]
"""Of a fetcher, an assignment, a node and a request: whether the answer has news, records or an error."""


def ending_quietly(fetch: Fetch) -> Fetch:
    """Return the fetch for which a cancellation is always an end without news, never an error."""

    async def fetch_until_cancelled(*fetching: Any) -> bool:  # Any: aiokafka is untyped
        try:
            return await fetch(*fetching)
        except asyncio.CancelledError:  # aiokafka itself does so around the request, but not in its pause
            return False

    return fetch_until_cancelled


def pausing(fetch: Fetch) -> Fetch:
    """Return the fetch that pauses after an empty answer that came early."""
    pauses: WeakKeyDictionary[Any, defaultdict[Hashable, float]] = WeakKeyDictionary()

    async def fetch_and_pause(fetcher: Any, *fetching: Any) -> bool:  # Any: as above
        _, node, _ = fetching
        loop = asyncio.get_running_loop()
        pause = pauses.setdefault(fetcher, defaultdict(lambda: FIRST_PAUSE_SECONDS))
        began = loop.time()
        news = await fetch(fetcher, *fetching)
        longest_wait = fetcher._fetch_max_wait_ms / 1000  # noqa: SLF001 no seam
        if news or loop.time() - began > longest_wait * EARLY:
            pause.pop(node, None)
            return news
        await asyncio.sleep(pause[node])
        pause[node] = min(2 * pause[node], LONGEST_PAUSE_SECONDS)
        return news

    return fetch_and_pause


def committed(initialise: Callable[..., None]) -> Callable[..., None]:
    """Return the fetcher's constructor for which every consumer reads what is committed, and no more."""

    def initialise_committed(fetcher: Any, *arguments: Any, **options: Any) -> None:  # Any: as above
        initialise(fetcher, *arguments, **{**options, "isolation_level": "read_committed"})

    return initialise_committed


aiokafka_fetcher.MemoryRecords = FetchedBatches
aiokafka_fetcher.PartitionRecords = SeparateRecords
aiokafka_fetcher.FetchResult = BoundedFetchResult
Fetcher.__init__ = committed(Fetcher.__init__)
original: Fetch = Fetcher._proc_fetch_request  # noqa: SLF001 no seam
Fetcher._proc_fetch_request = ending_quietly(original)  # noqa: SLF001 as above


def pause_after_empty_answers() -> None:
    """Let every consumer of this process pause after empty answers: its broker is the embedded one."""
    Fetcher._proc_fetch_request = ending_quietly(pausing(original))  # noqa: SLF001 as above
