"""Kafka's nouns as plain values."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Coordinates
from schemas.catalogue import ProductChange
from shared.errors import (
    ConfigurationError,
    FatalError,
    FencedError,
    HeadraceError,
    PoisonError,
    RewindError,
    SkippedError,
    TransientError,
)
from shared.ports import outgoing
from shared.records import Outgoing, Partition, Record

NOW = datetime(2026, 11, 21, tzinfo=UTC)
headers = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=3)), max_size=6).map(tuple)


@given(headers)
def test_of_headers_with_one_name_the_last_counts(given_):
    record = Record(Partition("t", 0), 1, None, None, NOW, given_)
    assert record.header("a") == dict(given_).get("a")
    assert record.header("c") is None


def test_a_record_knows_where_it_lies():
    record = Record(Partition("search.events.v1", 3), 41, b"k", b"v", NOW)
    assert record.coordinates == Coordinates(topic="search.events.v1", partition=3, offset=41)
    assert str(record.partition) == "search.events.v1-3"


def test_a_message_is_written_to_its_topic_under_its_key_or_to_another_topic():
    change = ProductChange(product_id="P-1", op="delete", version=3, event_time=NOW)
    message = outgoing(change)
    assert message == Outgoing("catalogue.changes.v1", b"P-1", change.encode())
    assert outgoing(change, topic="elsewhere").topic == "elsewhere"
    assert ProductChange.decode(message.value or b"") == change


def test_every_error_has_one_disposition():
    """Retry, dead-letter, skip, rewind or stop: none of ours is two of them, and none is none."""
    dispositions = (TransientError, PoisonError, SkippedError, RewindError, FatalError)
    waiting, kinds = [HeadraceError], []
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        kinds.append(kind)
    for kind in kinds:
        if kind is not HeadraceError:
            assert sum(issubclass(kind, disposition) for disposition in dispositions) == 1, kind
    assert {FencedError, ConfigurationError} <= set(kinds)
