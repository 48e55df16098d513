"""Carries the simulation's messages to the real topics, and its visits to the real search API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

import httpx

from services.cli.simulation.traffic import APPLICATION, Answer, Arrival, Backlog, Simulation, Visit
from shared.errors import FatalError, TransientError
from shared.ports import Clock, Publisher, outgoing

BATCH = 500
BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
PARALLEL = 4
"""Live searches at a time."""

Progress = Callable[[int], None]
"""Told how many more visits or messages are done."""


@dataclass
class Written:
    """What a run wrote and asked."""

    messages: int = 0
    searches: int = 0
    refused: int = 0
    """Searches that the API was too busy for, again and again."""


async def write(
    arrivals: Iterable[Arrival], publisher: Publisher, *, rate: float | None, progress: Progress
) -> Written:
    """Write every message in order, `rate` a second (None: as fast as the broker takes them)."""
    written, loop = Written(), asyncio.get_running_loop()
    began, messages = loop.time(), iter(arrivals)
    size = BATCH if rate is None else max(1, min(BATCH, int(rate / 10)))
    while batch := list(islice(messages, size)):
        await _publish(publisher, batch)
        written.messages += len(batch)
        progress(len(batch))
        if rate is not None:
            await asyncio.sleep(max(0.0, began + written.messages / rate - loop.time()))
    return written


class SearchApi:
    """Headrace's own `POST /search`, asked as a shop's front end asks it."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def answer(self, visit: Visit, k: int) -> Answer | None:
        """Return what the search shows for the visit, or None when it is too busy for it."""
        who = {"client_id": visit.client_id, "session_id": visit.session_id}
        body = {"text": visit.typed, "k": k, "fields": [], "application": APPLICATION, **who}
        for pause in (0.05, 0.2, 1.0):
            response = await self._post(body)
            if response.status_code not in BUSY:
                return self._read(response)
            await asyncio.sleep(pause)
        return None

    async def _post(self, body: object) -> httpx.Response:
        try:
            return await self._client.post("/search", json=body)
        except httpx.TransportError as error:
            raise TransientError(
                f"the search API at {self._client.base_url} does not answer: {error}"
            ) from error

    def _read(self, response: httpx.Response) -> Answer:
        if response.is_error:
            raise FatalError(f"POST /search answered {response.status_code}: {response.text[:300]}")
        found = response.json()
        hits = tuple(hit["product_id"] for hit in found["hits"])
        return Answer(found["query_id"], hits, self._clock.now())


async def live(
    simulation: Simulation,
    search: SearchApi,
    publisher: Publisher,
    *,
    clock: Clock,
    rate: float | None,
    progress: Progress,
    at_most: timedelta | None = None,
) -> Written:
    """Let every visit search for real, and write the events when they arrive; the API logs the queries.

    After `at_most` nobody comes any more; the events on their way are still written.
    """
    written, backlog = Written(), Backlog()
    results = simulation.traffic.results

    async def visit(asked: Visit) -> None:
        answer = await search.answer(asked, results)
        progress(1)
        if answer is None:
            written.refused += 1
            return
        written.searches += 1
        backlog.add(simulation.messages(asked, answer, logged=True))

    closing = None if at_most is None else clock.now() + at_most
    async for group in _paced(simulation.visits(), PARALLEL, rate):
        if closing is not None and clock.now() > closing:
            break
        await asyncio.gather(*(visit(asked) for asked in group))
        written.messages += await _drain(publisher, list(backlog.due(clock.now())))
    written.messages += await _drain(publisher, list(backlog.due()))
    return written


async def _paced(visits: Iterator[Visit], size: int, rate: float | None) -> AsyncIterator[list[Visit]]:
    loop, done = asyncio.get_running_loop(), 0
    began = loop.time()
    while group := list(islice(visits, size)):
        yield group
        done += len(group)
        if rate is not None:
            await asyncio.sleep(max(0.0, began + done / rate - loop.time()))


async def _drain(publisher: Publisher, arrivals: Sequence[Arrival]) -> int:
    for start in range(0, len(arrivals), BATCH):
        await _publish(publisher, arrivals[start : start + BATCH])
    return len(arrivals)


async def _publish(publisher: Publisher, arrivals: Sequence[Arrival]) -> None:
    await publisher.publish([outgoing(arrival.message) for arrival in arrivals])
