"""What a broker may hand out that no calendar or type of ours has."""

from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord

from shared.kafka.client import as_records
from shared.records import Partition

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def raw(**changed):
    usual = {
        "topic": "shop.catalogue.changes.v1",
        "partition": 1,
        "offset": 7,
        "timestamp": 1_700_000_000_000,
        "timestamp_type": 0,
        "key": b"p",
        "value": None,
        "checksum": None,
        "serialized_key_size": 1,
        "serialized_value_size": 0,
        "headers": (),
    }
    return ConsumerRecord(**{**usual, **changed})


def as_record(raw, prefix, *, now):
    [record] = as_records([raw], prefix, now=now)
    return record


def test_the_prefix_is_taken_off():
    assert as_record(raw(), "shop.", now=NOW).partition == Partition("catalogue.changes.v1", 1)


@pytest.mark.parametrize(("claimed", "year"), [(-1, 1970), (-(2**63), 1970), (2**62, 9999), (10**15, 9999)])
def test_a_timestamp_that_no_calendar_has_stops_nobody(claimed, year):
    assert as_record(raw(timestamp=claimed, timestamp_type=1), "", now=NOW).timestamp.year == year


@pytest.mark.parametrize("claimed", [2**62, 4_102_444_800_000])
def test_a_producers_clock_that_is_ahead_counts_as_now(claimed):
    record = as_record(raw(timestamp=claimed), "", now=NOW)
    assert (record.timestamp, record.appended) == (NOW, False)


def test_the_brokers_clock_is_taken_as_it_is():
    record = as_record(raw(timestamp=4_102_444_800_000, timestamp_type=1), "", now=NOW)
    assert (record.timestamp.year, record.appended) == (2100, True)


def test_a_header_may_be_null():
    record = as_record(raw(headers=(("a", None), ("b", b"x"))), "", now=NOW)
    assert record.headers == (("a", None), ("b", b"x"))
    assert record.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
