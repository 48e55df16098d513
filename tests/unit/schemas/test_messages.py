import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.base import Message
from schemas.golden import golden, golden_of
from schemas.topics import TOPICS, all_topics, index_records
from schemas.wire import WireError, decode_message
from tests.unit.schemas.strategies import MESSAGES

TYPES = sorted(MESSAGES, key=lambda kind: kind.__name__)
EVERY_TYPE = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)


def test_every_topic_has_a_golden_sample_and_a_strategy():
    for topic in all_topics("g1"):
        assert golden_of(topic)
        assert topic.message in MESSAGES


def test_there_is_no_golden_sample_of_an_unknown_topic():
    with pytest.raises(KeyError):
        golden("nothing.v1")


@EVERY_TYPE
def test_a_golden_sample_is_read_written_and_read_as_the_same_message(kind: type[Message]):
    message = kind.decode(golden(kind.topic))
    assert kind.decode(message.encode()) == message
    assert decode_message(kind, golden(kind.topic)) == message
    assert message.key()


@EVERY_TYPE
def test_a_golden_sample_uses_every_field_under_its_name_on_the_wire(kind: type[Message]):
    sample = json.loads(golden(kind.topic))
    unused = {field.alias or name for name, field in kind.model_fields.items()} - sample.keys()
    assert unused <= {"deleted", "user_id", "error", "replaces", "kept"}


@EVERY_TYPE
def test_a_reader_ignores_fields_that_it_does_not_know(kind: type[Message]):
    newer = json.dumps({**json.loads(golden(kind.topic)), "added_in_2031": {"a": [1]}}).encode()
    assert kind.decode(newer) == kind.decode(golden(kind.topic))


@EVERY_TYPE
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_message_written_and_read_is_the_same_message(kind: type[Message], data: st.DataObject):
    message = data.draw(MESSAGES[kind])
    assert kind.decode(message.encode()) == message
    assert decode_message(kind, message.encode()) == message


@EVERY_TYPE
@settings(max_examples=40, deadline=None)
@given(value=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_wire_error(kind: type[Message], value: bytes):
    with suppress(WireError):
        decode_message(kind, value)


def test_a_message_must_not_be_null():
    with pytest.raises(WireError, match=r"message\.null"):
        decode_message(TOPICS[0].message, None)


def test_an_index_record_may_be_larger_than_what_comes_from_outside():
    topic = index_records("g1")
    sample = json.loads(golden_of(topic))
    sample["vectors"] = "AAAA" * 200_000
    assert len(decode_message(topic.message, json.dumps(sample).encode()).vectors) == 600_000
