"""What a broker may hand out that no calendar or type of ours has."""

from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord

from shared.adapters.kafka import as_record
from shared.records import Partition


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


def test_the_prefix_is_taken_off():
    assert as_record(raw(), "shop.").partition == Partition("catalogue.changes.v1", 1)


@pytest.mark.parametrize(("claimed", "year"), [(-1, 1970), (-(2**63), 1970), (2**62, 9999), (10**15, 9999)])
def test_a_timestamp_that_no_calendar_has_stops_nobody(claimed, year):
    assert as_record(raw(timestamp=claimed), "").timestamp.year == year


def test_a_header_may_be_null():
    record = as_record(raw(headers=(("a", None), ("b", b"x"))), "")
    assert record.headers == (("a", b""), ("b", b"x"))
    assert record.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
