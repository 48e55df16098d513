"""Carries the simulation's messages to the real topics, and its visits to the real search API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from headrace.search_api import AsyncSearchClient, SearchUnavailableError
from services.lab.simulation.traffic import APPLICATION, Arrival, Backlog, Simulation, Visit, VisitResults
from shared.ports import Clock, Publisher, outgoing

BATCH = 500
BUSY = (429, 503)
PAUSES = (0.05, 0.2, 1.0)
"""Seconds after which a visit asks a busy search again; then the shopper gives up."""
PARALLEL = 4
"""Live searches at a time."""

Progress = Callable[[int], None]
"""Told how many more visits or messages are done."""


@dataclass
class DeliveryReport:
    """What a run wrote and asked."""

    messages: int = 0
    searches: int = 0
    refused: int = 0
    """Searches that the API was too busy for, again and again."""


async def write(
    arrivals: Iterable[Arrival], publisher: Publisher, *, rate: float | None, progress: Progress
) -> DeliveryReport:
    """Write every message in order, `rate` a second (None: as fast as the broker takes them)."""
    report, loop = DeliveryReport(), asyncio.get_running_loop()
    began, messages = loop.time(), iter(arrivals)
    size = BATCH if rate is None else max(1, min(BATCH, int(rate / 10)))
    while batch := list(islice(messages, size)):
        await _publish(publisher, batch)
        report.messages += len(batch)
        progress(len(batch))
        if rate is not None:
            await asyncio.sleep(max(0.0, began + report.messages / rate - loop.time()))
    return report


class ShopFrontEnd:
    """Headrace's own `POST /search`, asked as a shop's front end asks it."""

    def __init__(self, client: AsyncSearchClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def answer(self, visit: Visit, k: int) -> VisitResults | None:
        """Return what the search shows for the visit, or None when it is too busy for it.

        Raises `SearchRefusedError`, and `SearchUnavailableError` when it does not answer at all.
        """
        for pause in PAUSES:
            try:
                answer = await self._client.search(
                    visit.typed,
                    k=k,
                    fields=(),
                    application=APPLICATION,
                    client_id=visit.client_id,
                    session_id=visit.session_id,
                )
            except SearchUnavailableError as error:
                if error.status not in BUSY:
                    raise
                await asyncio.sleep(pause)
            else:
                hits = tuple(hit.product_id for hit in answer.hits)
                return VisitResults(answer.query_id, hits, self._clock.now())
        return None


async def live(
    simulation: Simulation,
    search: ShopFrontEnd,
    publisher: Publisher,
    *,
    clock: Clock,
    rate: float | None,
    progress: Progress,
    at_most: timedelta | None = None,
) -> DeliveryReport:
    """Let every visit search for real, and write the events when they arrive; the API logs the queries.

    After `at_most` nobody comes any more; the events on their way are still written.
    """
    report, backlog = DeliveryReport(), Backlog()
    results = simulation.traffic.results

    async def visit(current: Visit) -> None:
        answer = await search.answer(current, results)
        progress(1)
        if answer is None:
            report.refused += 1
            return
        report.searches += 1
        backlog.add(simulation.messages(current, answer, logged=True))

    closing = None if at_most is None else clock.now() + at_most
    async for group in _paced(simulation.visits(), PARALLEL, rate):
        if closing is not None and clock.now() > closing:
            break
        await asyncio.gather(*(visit(current) for current in group))
        report.messages += await _drain(publisher, list(backlog.due(clock.now())))
    report.messages += await _drain(publisher, list(backlog.due()))
    return report


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
