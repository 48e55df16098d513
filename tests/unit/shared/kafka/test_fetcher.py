"""What we patch of aiokafka's fetcher: a cancelled fetch ends quietly, and there is a pause after nothing."""

import asyncio
from types import SimpleNamespace

from aiokafka.errors import KafkaConnectionError

from shared.kafka.fetcher import LONGEST_PAUSE_SECONDS, Fetch, ending_quietly, original, pausing


class Fetching:
    """A fetcher whose broker answers at once."""

    def __init__(self, longest_wait: float = 100.0) -> None:
        self._fetch_max_wait_ms = longest_wait * 1000


def answering(news: bool) -> Fetch:
    async def fetch(fetcher, assignment, node, request) -> bool:
        return news

    return pausing(fetch)


async def spent(fetch: Fetch, fetcher: Fetching, times: int) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(times):
        await fetch(fetcher, None, 0, None)
    return loop.time() - began


async def test_a_broker_that_has_nothing_and_says_so_at_once_is_asked_less_and_less_often():
    assert await spent(answering(news=False), Fetching(), times=8) > 3 * LONGEST_PAUSE_SECONDS


async def test_news_is_never_held_back():
    assert await spent(answering(news=True), Fetching(), times=50) < LONGEST_PAUSE_SECONDS


async def test_a_broker_that_waits_as_long_as_it_may_is_never_paused_for():
    assert await spent(answering(news=False), Fetching(longest_wait=0.0), times=50) < LONGEST_PAUSE_SECONDS


class BrokerAway:
    """What a fetch needs of its fetcher and its client, for a request that fails."""

    _retry_backoff = 1000.0

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self._client = self

    async def send(self, node, request):
        raise KafkaConnectionError

    def _invalidate_preferred_read_replica_for_node(self, node, request) -> None:
        self.failed.set()


async def cancelled_in_its_pause(fetch: Fetch) -> "asyncio.Task[bool]":
    fetcher = BrokerAway()
    task = asyncio.ensure_future(fetch(fetcher, SimpleNamespace(active=True), 0, None))
    await fetcher.failed.wait()
    task.cancel()
    await asyncio.wait([task])
    return task


async def test_a_fetch_that_is_cancelled_in_the_pause_after_a_failure_ends_without_news():
    task = await cancelled_in_its_pause(ending_quietly(original))
    assert not task.cancelled()
    assert task.result() is False


async def test_aiokafka_still_needs_that():
    """When this fails, aiokafka catches it itself, and `ending_quietly` can go."""
    assert (await cancelled_in_its_pause(original)).cancelled()
