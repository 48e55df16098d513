"""Messages of a simulation are written in order, at the rate asked for, and released when they arrive."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.search import SearchEvent, SearchQuery
from services.lab.simulation import delivery, shop
from services.lab.simulation.delivery import BATCH
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import (
    Arrival,
    Backlog,
    Ranker,
    Simulation,
    Traffic,
    VisitResults,
    stream,
)
from services.lab.simulation.truth import IMPRESSION
from shared.clock import SystemClock
from shared.errors import TransientError
from shared.testing.publisher import MemoryPublisher

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
SALE = shop.sample(size=200, queries=8)


def simulation(**traffic) -> Simulation:
    return Simulation(SALE, ClickModel(), Traffic(until=UNTIL, **{"sessions": 40, **traffic}))


def arrivals(**traffic) -> list[Arrival]:
    return list(stream(simulation(**traffic), Ranker.blurred(SALE, seed=1)))


async def test_every_message_is_written_in_order() -> None:
    publisher, counts = MemoryPublisher(), []
    expected = arrivals(sessions=300)
    report = await delivery.write(expected, publisher, rate=None, progress=counts.append)
    assert [message.value for message in publisher.messages] == [a.message.encode() for a in expected]
    assert report.messages == sum(counts) == len(expected) > BATCH
    assert max(counts) == BATCH


async def test_events_and_queries_go_to_their_topics_by_query() -> None:
    publisher = MemoryPublisher()
    await delivery.write(arrivals(), publisher, rate=None, progress=lambda _: None)
    for message in publisher.of(SearchQuery.topic):
        assert message.key == SearchQuery.decode(message.value or b"").key()
    assert publisher.of(SearchEvent.topic)
    assert {message.topic for message in publisher.messages} == {SearchQuery.topic, SearchEvent.topic}


async def test_a_rate_is_kept() -> None:
    publisher, loop = MemoryPublisher(), asyncio.get_running_loop()
    began = loop.time()
    await delivery.write(arrivals()[:60], publisher, rate=600, progress=lambda _: None)
    assert loop.time() - began >= 0.099


async def test_a_broker_that_fails_is_not_ignored() -> None:
    publisher = MemoryPublisher()
    publisher.failure = TransientError("away")
    with pytest.raises(TransientError):
        await delivery.write(arrivals(), publisher, rate=None, progress=lambda _: None)


class FrontEnd:
    """A search that shows the first products to everybody, and is too busy for every `busy`-th visit."""

    def __init__(self, busy: int = 0) -> None:
        self.busy, self.visits = busy, 0

    async def answer(self, visit, k: int) -> VisitResults | None:
        self.visits += 1
        if self.busy and self.visits % self.busy == 0:
            return None
        ids = tuple(product.id for product in SALE.products[:k])
        return VisitResults(f"q{visit.number}", ids, SystemClock().now())


async def live(run: Simulation, front_end: FrontEnd, publisher: MemoryPublisher, **options):
    return await delivery.live(
        run,
        front_end,  # type: ignore[arg-type]  it answers as one
        publisher,
        clock=SystemClock(),
        rate=None,
        progress=lambda _: None,
        **options,
    )


async def test_live_shoppers_search_for_real_and_only_their_events_are_written() -> None:
    run, publisher = simulation(haste=1000.0), MemoryPublisher()
    report = await live(run, FrontEnd(), publisher)
    assert report.searches == len(list(simulation(haste=1000.0).visits()))
    assert {message.topic for message in publisher.messages} == {SearchEvent.topic}
    assert report.messages == len(publisher.messages)
    assert sum(run.truth.shoppers[pair][IMPRESSION] for pair in run.truth.shoppers) > 0


async def test_a_visit_that_search_was_too_busy_for_is_counted_and_did_not_happen() -> None:
    run, publisher = simulation(haste=1000.0), MemoryPublisher()
    report = await live(run, FrontEnd(busy=3), publisher)
    visits = len(list(simulation(haste=1000.0).visits()))
    assert report.refused == visits // 3
    assert report.searches + report.refused == visits


async def test_after_closing_time_nobody_comes_any_more_and_what_is_on_its_way_is_written() -> None:
    publisher = MemoryPublisher()
    report = await live(simulation(haste=1000.0), FrontEnd(), publisher, at_most=timedelta())
    assert report.searches <= delivery.PARALLEL
    assert report.messages == len(publisher.messages)


message = SearchEvent(action_name="click", query_id="q", timestamp=UNTIL)
WAITING = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=30)


@given(WAITING, st.integers(0, 50))
def test_a_backlog_releases_what_has_arrived_in_order_and_keeps_the_rest(times, until) -> None:
    backlog = Backlog()
    backlog.add(
        Arrival(UNTIL + timedelta(seconds=second), (order, number), message)
        for number, (second, order) in enumerate(times)
    )
    moment = UNTIL + timedelta(seconds=until)
    early = list(backlog.due(moment))
    assert len(backlog) == len(times) - len(early)
    late = list(backlog.due())
    assert all(arrival.time <= moment for arrival in early)
    assert all(arrival.time > moment for arrival in late)
    assert [a[:2] for a in early + late] == sorted(a[:2] for a in early + late)
    assert len(backlog) == 0
