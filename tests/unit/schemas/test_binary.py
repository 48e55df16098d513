"""Index records in binary: written so, read in both forms, refused when they are no such thing."""

from importlib.resources import files

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.binary import WHOLE, head_of
from schemas.golden import golden
from schemas.index import AnyRecord, AttributeRecord, IndexRecord, attributes_key, read_record
from schemas.topics import index_records
from schemas.validation import split, validate
from schemas.wire import WireError, decode_message
from tests.unit.schemas.strategies import MESSAGES

GOLDEN = (files("schemas.golden") / "index.records.msgpack").read_bytes()
RECORD = IndexRecord.decode(golden("index.records"))


def changed(**changes: object) -> bytes:
    return WHOLE + msgspec.msgpack.encode({**msgspec.msgpack.decode(GOLDEN[2:]), **changes})


def test_the_golden_sample_is_what_is_written_and_says_what_the_json_says():
    assert RECORD.encode() == GOLDEN
    assert IndexRecord.decode(GOLDEN) == RECORD
    assert decode_message(IndexRecord, GOLDEN) == RECORD


def test_the_golden_attribute_record_is_what_is_written_under_a_key_of_its_own():
    sample = (files("schemas.golden") / "index.records.attributes.msgpack").read_bytes()
    record = AttributeRecord.decode(golden(AttributeRecord.topic))
    assert record.encode() == sample
    assert read_record(sample) == decode_message(AttributeRecord, sample) == record
    assert record.key() == attributes_key(RECORD.product_id) != RECORD.key()
    with pytest.raises(ValidationError):
        IndexRecord.decode(sample)
    with pytest.raises(ValidationError):
        AttributeRecord.decode(GOLDEN)


def test_vectors_lie_in_it_as_they_are():
    vectors = bytes(range(256)) * 3
    assert vectors in RECORD.model_copy(update={"vectors": vectors}).encode()


@pytest.mark.parametrize("kind", [IndexRecord, AttributeRecord])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_both_forms_say_the_same(kind: type[AnyRecord], data: st.DataObject):
    record = data.draw(MESSAGES[kind])
    assert kind.decode(record.encode()) == kind.decode(record.as_json()) == record
    assert kind.decode(record.encode()).as_json() == record.as_json()
    assert read_record(record.encode()) == record
    for value in (record.encode(), record.as_json()):
        assert (head_of(value).product_id, head_of(value).epoch) == (record.product_id, record.epoch)


def test_a_reader_ignores_names_that_it_does_not_know():
    assert IndexRecord.decode(changed(added_in_2031={"a": [1]})) == RECORD


@pytest.mark.parametrize(
    "value",
    [
        GOLDEN[:1],
        GOLDEN[:2],
        GOLDEN[:-1],
        GOLDEN + b"\0",
        b"\xc1\x7f" + GOLDEN[2:],
        WHOLE + b"\x80",
        changed(product_id="a\nb"),
        changed(product_id="x" * 129),
        changed(fingerprint="F" * 16),
        changed(dimensions=0),
        changed(epoch=-1),
        changed(event_time="2026-11-20T12:00:00"),
        changed(passages=[[1]]),
        changed(document={"fields": {"price": float("nan")}}),
        changed(document={"fields": {"sizes": [1.0, float("inf")]}}),
        changed(document={"fields": {"price": 2**63}}),
        changed(document={"fields": {"nested": {"a": 1}}}),
        changed(document={"base": 0}),
        changed(document={"owners": {"price": 3}}),
        changed(document={"revisions": [{"line": "version"}]}),
    ],
)
def test_what_is_no_index_record_is_refused(value: bytes):
    with pytest.raises(ValidationError):
        IndexRecord.decode(value)
    with pytest.raises(WireError):
        decode_message(IndexRecord, value)


@settings(max_examples=200, deadline=None)
@given(tail=st.binary(max_size=200))
def test_any_bytes_are_a_record_or_refused(tail: bytes):
    with pytest.raises(ValidationError):
        IndexRecord.decode(WHOLE + tail)


def test_a_file_may_hold_a_binary_message():
    report = validate(split(GOLDEN), index_records("g1"))
    assert (report.messages, report.faults) == (1, [])
