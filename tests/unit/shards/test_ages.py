"""How old changes are when they become searchable: by their producers' clocks, and by the broker's."""

from datetime import timedelta

import pytest

from schemas.base import milliseconds
from schemas.catalogue import Appended, Document, Revision
from services.shards.serving import Serving
from tests.unit.shards.builders import EAST, NOW, WEEK, log, message, opened

SECOND = timedelta(seconds=1)


def revision(number: int, *, seconds_ago: int, partition: int = 0, offset: int = 0) -> Revision:
    appended = Appended(milliseconds(NOW) - seconds_ago * 1000, partition, offset)
    return Revision(line="version", version=(number,), appended=appended)


def imported(*revisions: Revision, at: int = 0):
    """Return a record of a product whose last change lay there; its producer says that it is a week old."""
    document = Document(fields={"title": "shoe"}, revisions=revisions, base=0)
    return message("p", EAST, document=document, source=at, event_time=NOW - WEEK)


@pytest.fixture
async def serving(tmp_path):
    shard = opened(tmp_path)
    yield Serving(shard, partition=0, epoch=1, start=0, target=0)
    shard.close()


async def measured(serving: Serving, *records) -> tuple[float | None, float | None]:
    """Return the ages by event time, and by the broker's."""
    await serving.moved([entry.record for entry in log(*records)], NOW)
    return serving.freshness.quantile(0.99), serving.ingestion.quantile(0.99)


async def test_a_week_old_row_that_was_just_imported_is_old_by_one_clock_only(serving):
    assert await measured(serving, imported(revision(1, seconds_ago=2))) == (WEEK.total_seconds(), 2)


async def test_the_change_that_was_merged_last_counts_and_not_what_was_appended_last(serving):
    """A message that was forwarded comes after one that lay at home and was appended later."""
    forwarded = revision(1, seconds_ago=60, offset=7)
    later = revision(2, seconds_ago=1, partition=1, offset=7)
    assert (await measured(serving, imported(forwarded, later, at=7)))[1] == 60


async def test_of_a_change_that_left_no_revision_the_last_one_counts(serving):
    both = (revision(1, seconds_ago=60), revision(2, seconds_ago=3))
    assert (await measured(serving, imported(*both, at=99)))[1] == 3


async def test_a_record_of_an_earlier_version_has_one_clock(serving):
    before = Document(fields={"title": "shoe"}, revisions=(Revision(line="legacy", version=(1,)),), base=0)
    nothing = message("q", EAST, document=before, event_time=NOW - SECOND)
    assert nothing.appended_at is None
    assert await measured(serving, nothing) == (1, None)


def test_a_moment_that_no_calendar_has_is_none():
    beyond = Revision(line="version", version=(1,), appended=Appended(10**18, 0, 0))
    assert imported(beyond).appended_at is None
