"""Topics read from their beginning to their end, or in part: every offset once, and nothing beyond."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import OffsetRange
from shared.errors import ConfigurationError, TransientError
from shared.kafka.topic_reader import STALLED, TopicReader
from shared.records import Partition
from shared.settings import Settings
from tests.unit.shared.kafka.log import MemoryLogs
from tests.unit.shared.virtual_time import now, virtually

ONE, TWO = Partition("events", 0), Partition("events", 1)
edges = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
ranges = st.tuples(st.integers(0, 14), st.integers(0, 14))


def reader(logs: MemoryLogs) -> TopicReader:
    """Return a reader as it is once it has connected."""
    topics = TopicReader(Settings(), ["events"])
    topics._consumer = logs  # type: ignore[assignment]
    topics.beginnings = dict(logs.beginnings)
    return topics


def logs(**log: tuple[int, int]) -> MemoryLogs:
    named = {{"one": ONE, "two": TWO}[name]: edge for name, edge in log.items()}
    return MemoryLogs(
        {partition: end for partition, (_, end) in named.items()},
        {partition: beginning for partition, (beginning, _) in named.items()},
    )


async def offsets(records) -> dict[Partition, list[int]]:
    by_partition: dict[Partition, list[int]] = {}
    async for read in records:
        by_partition.setdefault(read.partition, []).append(read.offset)
    return by_partition


@given(one=edges, two=edges, more=st.integers(0, 5))
async def test_news_is_everything_at_first_and_then_what_was_written_since(one, two, more):
    log = logs(one=one, two=two)
    topics = reader(log)
    first = await offsets(topics.news())
    assert first == {at: [*range(*edge)] for at, edge in ((ONE, one), (TWO, two)) if edge[0] < edge[1]}
    assert topics.ends == {ONE: one[1], TWO: two[1]}
    log.logs[ONE] += more
    assert await offsets(topics.news()) == ({ONE: [*range(one[1], one[1] + more)]} if more else {})


@given(log=edges, part=ranges)
async def test_of_a_range_comes_what_is_still_there_and_nothing_else(log, part):
    (beginning, end), (start, stop) = log, part
    topics = reader(logs(one=(beginning, end)))
    wanted = [OffsetRange(topic="events", partition=0, start=start, end=stop)]
    if start < stop and stop > end:
        with pytest.raises(ConfigurationError, match=f"events-0 ends at {end}, before {stop}"):
            await offsets(topics.within(wanted))
        return
    expected = [*range(max(start, beginning), stop)]
    assert await offsets(topics.within(wanted)) == ({ONE: expected} if expected else {})


async def test_ranges_of_several_partitions_are_read_together_and_others_not_at_all():
    topics = reader(logs(one=(0, 10), two=(0, 10)))
    both = [OffsetRange(topic="events", partition=number, start=2, end=4 + number) for number in (0, 1)]
    assert await offsets(topics.within(both)) == {ONE: [2, 3], TWO: [2, 3, 4]}
    assert await offsets(topics.within(both[:1])) == {ONE: [2, 3]}


async def test_a_range_of_a_topic_that_is_not_there_is_refused():
    topics = reader(logs(one=(0, 3)))
    with pytest.raises(ConfigurationError, match="queries-0 ends at 0, before 1"):
        await offsets(topics.within([OffsetRange(topic="queries", partition=0, start=0, end=1)]))


@given(one=edges, two=edges)
async def test_the_last_record_of_a_partition_is_that_before_its_end_if_there_is_any(one, two):
    last = await offsets(reader(logs(one=one, two=two)).last())
    assert last == {at: [edge[1] - 1] for at, edge in ((ONE, one), (TWO, two)) if edge[0] < edge[1]}


def test_a_broker_that_gives_nothing_although_there_is_more_is_away_after_a_minute():
    async def story() -> float:
        log = logs(one=(0, 3))
        topics = reader(log)
        await topics.find_ends()
        reading = topics._until({ONE: 3})
        log.silent = True
        with pytest.raises(TransientError, match="gives nothing, although there is more to read"):
            await offsets(reading)
        return now()

    assert virtually(story()) == pytest.approx(STALLED.total_seconds(), abs=1)


def test_whoever_takes_long_over_a_record_is_not_taken_for_a_broker_that_is_away():
    async def story() -> int:
        count = 0
        async for _ in reader(logs(one=(0, 9))).news():
            await asyncio.sleep(2 * STALLED.total_seconds())
            count += 1
        return count

    assert virtually(story()) == 9
