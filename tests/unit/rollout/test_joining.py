"""Whether the joins have come so far: from what living and dead processes say of themselves."""

from datetime import UTC, datetime

from schemas.search import SearchEvent, SearchQuery
from services.judgements import app as judgements
from services.judgements import join
from services.rollout.domain.joining import unjoined, unread
from services.rollout.trials.join_progress import FORWARDED, JOIN, SOURCES
from shared.cluster.members import ReaderRecord
from shared.records import Partition

NOW = datetime(2026, 11, 21, tzinfo=UTC)
QUERIES, EVENTS = Partition(SearchQuery.topic, 0), Partition(SearchEvent.topic, 0)
ENDS = {QUERIES: 10, EVENTS: 20}


def reader(at, next_offset, instance="one"):
    return ReaderRecord(
        instance=instance,
        topic=at.topic,
        partition=at.number,
        partitions=1,
        next_offset=next_offset,
        end_offset=99,
        updated_at=NOW,
    )


def test_the_furthest_reader_of_each_partition_counts():
    readers = [reader(QUERIES, 10), reader(EVENTS, 15), reader(EVENTS, 18, "other")]
    assert unread(readers, ENDS) == 2
    assert unread([], ENDS) == 30
    assert unread([reader(QUERIES, None), reader(EVENTS, 25)], ENDS) == 10


def test_a_home_is_joined_as_far_as_one_process_says_of_all_its_logs():
    whole = [reader(QUERIES, 10), reader(EVENTS, 20)]
    assert unjoined(whole, ENDS) == 0
    assert unjoined([reader(QUERIES, 10), reader(EVENTS, 19)], ENDS) == 1


def test_what_a_dead_process_says_of_one_log_and_its_successor_of_another_says_nothing():
    """Redis was emptied in between: the event that waited for its query is gone, and is to be joined anew."""
    torn = [reader(QUERIES, 4, "dead"), reader(EVENTS, 20, "dead"), reader(QUERIES, 10), reader(EVENTS, 3)]
    assert unread(torn, ENDS) == 0
    assert unjoined(torn, ENDS) == 6


def test_each_home_has_its_own_owner():
    others = {Partition(at.topic, 1): end for at, end in ENDS.items()}
    readers = [reader(QUERIES, 10), reader(EVENTS, 20)]
    readers += [reader(at, end, "two") for at, end in others.items()]
    assert unjoined(readers, {**ENDS, **others}) == 0
    assert unjoined(readers[:2], {**ENDS, **others}) == 30


def test_nothing_to_read_has_been_read():
    assert (unread([], {QUERIES: 0}), unjoined([], {QUERIES: 0}), unjoined([], {})) == (0, 0, 0)


def test_it_is_the_judgements_loops_and_logs_that_are_asked():
    assert f"{judgements.NAME}-join" == JOIN
    assert set(join.LOGS) == {*SOURCES, *FORWARDED}
