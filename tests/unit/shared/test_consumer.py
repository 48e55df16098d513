"""Fetches that come back empty."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.protocol.fetch import FetchRequest

from shared.adapters.consumer import LONGEST_PAUSE_SECONDS, Unhurried, has_news

EMPTY = SimpleNamespace(topics=[("t", [(0, 0, 10, 10, None, b"")])])
RECORDS = SimpleNamespace(topics=[("t", [(0, 0, 10, 10, None, b""), (1, 0, 11, 11, None, b"records")])])
ERROR = SimpleNamespace(topics=[("t", [(0, 1, -1, -1, None, b"")])])


async def spent(unhurried: Unhurried, request: object, times: int = 1) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(times):
        await unhurried(0, request)
    return loop.time() - began


def answering(answer, longest_wait=100.0) -> Unhurried:
    async def send(node, request, **options):
        return answer

    return Unhurried(send, longest_wait=longest_wait)


@pytest.fixture
def fetch() -> FetchRequest:
    return FetchRequest.__new__(FetchRequest)


@pytest.mark.parametrize(("answer", "news"), [(EMPTY, False), (RECORDS, True), (ERROR, True)])
def test_records_and_errors_are_news(answer, news):
    assert has_news(answer) is news


async def test_a_broker_that_has_nothing_and_says_so_at_once_is_asked_less_and_less_often(fetch):
    assert await spent(answering(EMPTY), fetch, times=8) > 3 * LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize("answer", [RECORDS, ERROR])
async def test_news_is_never_held_back(fetch, answer):
    assert await spent(answering(answer), fetch, times=50) < LONGEST_PAUSE_SECONDS


async def test_a_broker_that_waits_as_long_as_it_may_is_never_paused_for(fetch):
    assert await spent(answering(EMPTY, longest_wait=0.0), fetch, times=50) < LONGEST_PAUSE_SECONDS


async def test_other_requests_are_passed_on(fetch):
    assert await spent(answering(EMPTY), object(), times=50) < LONGEST_PAUSE_SECONDS
