"""A Kafka consumer that does not spin, and that stops while its broker is away.

A broker holds a fetch up until there is something to read or the consumer's longest wait is over. noida-db
answers at once, with nothing; aiokafka asks again at once, some 2,000 times a second and partition, and an
idle worker uses most of a core. So an empty answer that came early is followed by a pause, a longer one
each time until something comes. A broker that waits, as Apache Kafka does, is never paused for.

A consumer that is stopped cancels its fetches and awaits them; one that was pausing because its broker is
away then raises that cancellation at whoever stops it. Faust's thread died of it, and its worker never ended.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest

FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.05
EARLY = 0.5
"""An empty answer within this share of the longest wait came early."""

Send = Callable[..., Awaitable[Any]]  # Any: aiokafka is untyped


class Unhurried:
    """Sends requests for a consumer; returns an early empty answer to a fetch after a pause."""

    def __init__(self, send: Send, *, longest_wait: float) -> None:
        self._send = send
        self._early = longest_wait * EARLY
        self._pauses: defaultdict[Hashable, float] = defaultdict(lambda: FIRST_PAUSE_SECONDS)

    async def __call__(self, node: Hashable, request: object, **options: object) -> Any:  # Any: as above
        """Send the request to the node and return its answer."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._send(node, request, **options)
        if not isinstance(request, FetchRequest):
            return answer
        if has_news(answer) or loop.time() - began > self._early:
            self._pauses.pop(node, None)
            return answer
        await asyncio.sleep(self._pauses[node])
        self._pauses[node] = min(2 * self._pauses[node], LONGEST_PAUSE_SECONDS)
        return answer


def has_news(answer: Any) -> bool:  # Any: as above
    """Whether a fetch brought records, or an error that should be heard of at once."""
    return any(error or bool(rest[-1]) for _, found in answer.topics for _, error, *rest in found)


def calmed(consumer: Any, *, longest_wait: float) -> Any:  # Any: as above
    """Return the consumer, mended in both; `longest_wait` is the seconds that it lets the broker wait."""
    stop = consumer.stop

    async def stop_fetching_first() -> None:
        await _end_fetches(consumer._fetcher)  # noqa: SLF001 no seam
        await stop()

    consumer._client.send = Unhurried(consumer._client.send, longest_wait=longest_wait)  # noqa: SLF001 no seam
    consumer.stop = stop_fetching_first
    return consumer


async def _end_fetches(fetcher: Any) -> None:  # Any: as above
    if fetcher is None:  # it was never started
        return
    fetches = (fetcher._fetch_task, *fetcher._pending_tasks)  # noqa: SLF001 no seam
    for fetch in fetches:
        fetch.cancel()
    await asyncio.gather(*fetches, return_exceptions=True)
    fetcher._pending_tasks.clear()  # noqa: SLF001 no seam


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """An `AIOKafkaConsumer` in every respect but these two."""

    def __init__(self, *, fetch_max_wait_ms: int = 500, **options: Any) -> None:  # Any: aiokafka's own
        super().__init__(fetch_max_wait_ms=fetch_max_wait_ms, **options)
        calmed(self, longest_wait=fetch_max_wait_ms / 1000)
