"""A message is forwarded as it is, and is read as the message that it was."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kafka.partitioning import partition_of
from shared.records import Outgoing, Partition, Record
from shared.streaming.repartition import ORIGIN, forwarded, home_of, is_forwarded, original

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = Partition("catalogue.changes.v1", 2)
keys = st.none() | st.binary(max_size=8)
headers = st.lists(st.tuples(st.sampled_from(["a", ORIGIN]), st.binary(max_size=4)), max_size=3).map(tuple)
moments = st.integers(0, 2**41).map(
    lambda number: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=number)
)


def read_again(message: Outgoing, offset: int = 5, later: timedelta = timedelta(hours=1)) -> Record:
    """Return a message as it is read where it was written, at whatever time the broker says."""
    at = Partition(message.topic, message.partition or 0)
    return Record(at, offset, message.key, message.value, NOON + later, message.headers)


@given(key=keys, value=keys, headers=headers, moment=moments, offset=st.integers(0, 2**53))
def test_what_is_read_at_its_home_is_what_was_forwarded(key, value, headers, moment, offset):
    record = Record(AT, offset, key, value, moment, headers)
    message = forwarded(record, 7)
    assert (message.topic, message.partition) == ("catalogue.changes.v1.repartition", 7)
    assert (message.key, message.value, message.timestamp) == (key, value, None)
    assert original(read_again(message)) == record


@given(headers=headers)
def test_nobody_can_claim_that_a_message_lay_elsewhere_in_the_topic_that_the_world_writes(headers):
    record = Record(AT, 3, b"k", b"v", NOON, headers)
    assert original(record) is record


@pytest.mark.parametrize(
    "claim",
    [
        *(None, b"", b"{", b"7", b"[]", b'["t",0,1]', b'["t",-1,1,0]', b'["t",0,"x",0]', b'["t",0,1,1e300]'),
        b'["search.events.v1",0,1,0]',
    ],
)
def test_what_others_claim_in_our_topic_stops_nobody(claim):
    at = Partition("catalogue.changes.v1.repartition", 2)
    record = Record(at, 3, b"k", b"v", NOON, ((ORIGIN, claim),))
    assert original(record) is record


def test_what_was_not_forwarded_is_what_it_is():
    record = Record(Partition("catalogue.changes.v1.repartition", 2), 3, b"k", b"v", NOON, (("a", b"1"),))
    assert is_forwarded(record.partition)
    assert original(record) is record


@given(subject=st.binary(min_size=1, max_size=12), number=st.integers(0, 20), homes=st.integers(1, 8))
def test_a_home_depends_on_what_a_message_is_about_and_on_nothing_else(subject, number, homes):
    assert home_of(subject, Partition("t", number), homes) == partition_of(subject, homes)


@given(number=st.integers(0, 20), homes=st.integers(1, 8))
def test_what_is_about_nothing_stays_where_it_is_if_that_is_a_home(number, homes):
    home = home_of(None, Partition("t", number), homes)
    assert 0 <= home < homes
    assert home == number or number >= homes
