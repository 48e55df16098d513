"""A file of messages is judged message by message, each with the line to look at."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.golden import golden, golden_of
from schemas.topics import TOPICS, all_topics, index_records
from schemas.validation import MessageSample, split, split_kcat, topic_named, validate

CHANGES = topic_named("catalogue.changes.v1")
GOOD = b'{"product_id":"P-1","op":"delete"}'
BAD = rb'{"product_id":"P\t1","op":"delete"}'
TORN = b'{"product_id":"P-1"'
LINES = st.lists(st.sampled_from([GOOD, BAD, TORN, b"", b"   "]), max_size=12)


@given(LINES)
def test_of_messages_a_line_every_line_is_judged_by_itself(lines: Sequence[bytes]):
    full = [number for number, line in enumerate(lines, 1) if line.strip()]
    if len(full) < 2 or not all(lines[number - 1] for number in full):
        return
    report = validate(split(b"\n".join(lines)), CHANGES)
    assert report.messages == len(full)
    assert [fault.line for fault in report.faults] == [number for number in full if lines[number - 1] != GOOD]
    assert report.forms.total() == len(full) - len(report.faults)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]))
def test_line_ends_of_both_kinds_are_read_alike(lines: Sequence[bytes], end: bytes):
    one, other = (validate(split(joint.join(lines)), CHANGES) for joint in (b"\n", end))
    assert (one.messages, one.forms) == (other.messages, other.forms)
    assert [fault.reason for fault in one.faults] == [fault.reason for fault in other.faults]


@pytest.mark.parametrize("text", [b"", b"\n", b"  \n\t\n"])
def test_an_empty_file_has_no_messages(text: bytes):
    assert list(split(text)) == []
    assert validate(split_kcat(text), CHANGES).messages == 0


def test_one_document_may_have_many_lines():
    text = json.dumps(json.loads(GOOD), indent=2).encode()
    assert list(split(text + b"\n", key=b"k")) == [MessageSample(1, b"k", text)]


def test_a_document_of_two_objects_a_line_each_is_two_messages():
    assert [sample.line for sample in split(GOOD + b"\n\n" + GOOD)] == [1, 3]
    assert [sample.value for sample in split(GOOD + b"\n" + BAD)] == [GOOD, BAD]


def test_the_line_of_a_nested_field_is_that_of_its_own_name():
    text = b'{\n"op": "upsert",\n"product_id": "P-1",\n"fields": {\n"title": "Shoe",\n"weight": 1e999\n}\n}'
    report = validate(split(text), CHANGES)
    [left] = report.left_out
    assert (left.line, left.reason, report.faults) == (6, "field.number_not_finite", [])


def test_a_fault_that_names_nothing_is_at_the_beginning_of_its_message():
    [fault] = validate(iter([MessageSample(7, None, b'{"op":\n"delete"}')]), CHANGES).faults
    assert (fault.line, fault.reason) == (7, "id.missing")


def test_the_line_of_broken_json_is_the_parsers_counted_from_where_the_message_begins():
    [fault] = validate(
        iter([MessageSample(7, None, b'{\n"op": "upsert",\n"version": NaN\n}')]), CHANGES
    ).faults
    assert (fault.line, fault.reason) == (9, "json.invalid")


def test_a_name_that_is_not_in_the_message_as_written_is_looked_for_in_vain():
    value = b'{"op": "patch",\n"product_id": "P-1",\n"fields": {\n"\\u0061": 1e999}}'  # it is called 'a'
    [left] = validate(iter([MessageSample(7, None, value)]), CHANGES).left_out
    assert (left.line, left.reason) == (7, "field.number_not_finite")


def test_texts_that_are_cut_are_counted_and_not_refused():
    long = json.dumps({"op": "patch", "product_id": "P", "fields": {"a": "x" * 40_000, "b": "x"}}).encode()
    report = validate(split(long), CHANGES)
    assert (report.cut, report.faults, report.forms) == (1, [], {"plain": 1})


# kcat


def kcat(**record: object) -> bytes:
    return json.dumps({"topic": "t", "partition": 0, "offset": 1, **record}).encode()


def test_kcats_key_payload_and_headers_are_those_of_the_message():
    line = kcat(key="P-1", payload="x", headers=["version", "5", "ce_id", "e"])
    assert list(split_kcat(line)) == [MessageSample(1, b"P-1", b"x", (("version", b"5"), ("ce_id", b"e")))]


def test_a_null_payload_is_a_tombstone():
    report = validate(split_kcat(kcat(key="P-1", payload=None)), CHANGES)
    assert (report.forms, report.faults) == ({"tombstone": 1}, [])


@given(st.lists(st.sampled_from([b"gibberish", b"[]", b"7", b'{"key":"a"}', kcat(payload="{}", headers=7)])))
def test_what_is_no_line_of_kcat_is_a_fault_of_its_line_and_no_other(lines: Sequence[bytes]):
    good = kcat(key="P-1", payload=None)
    report = validate(split_kcat(b"\n".join([good, *lines, good])), CHANGES)
    assert report.messages == len(lines) + 2
    assert [fault.line for fault in report.faults] == [number + 2 for number in range(len(lines))]


# Topics


@pytest.mark.parametrize("prefix", ["", "shop.", "eu-west."])
def test_a_topic_is_known_with_any_prefix(prefix: str):
    for topic in TOPICS:
        assert topic_named(prefix + topic.name) is topic
    assert topic_named(f"{prefix}index.records.g7") == index_records("g7")


@pytest.mark.parametrize(
    "name", ["", "nothing.v1", "catalogue.changes.v2", "search.events.v1.dlq", "index.records.g1.dlq"]
)
def test_an_unknown_topic_is_told_with_those_there_are(name: str):
    with pytest.raises(KeyError, match=r"catalogue\.changes\.v1, .*index\.records\.<generation>"):
        topic_named(name)


@pytest.mark.parametrize("topic", all_topics("g1")[: len(TOPICS) + 1], ids=lambda topic: topic.name)
def test_every_topics_golden_sample_is_fine_and_a_fault_in_it_is_found(topic):
    good = validate(iter([MessageSample(1, b"k", golden_of(topic))]), topic)
    assert (good.messages, good.faults, good.forms.total()) == (1, [], 1)
    torn = validate(iter([MessageSample(1, b"k", golden_of(topic)[:-5])]), topic)
    assert [fault.reason for fault in torn.faults] == ["json.invalid"]
    wrong = validate(iter([MessageSample(1, b"k", b'{"no": "message"}')]), topic)
    assert len(wrong.faults) == 1


def test_a_query_without_a_time_is_fine_since_its_record_has_one():
    query = {
        name: value for name, value in json.loads(golden("search.queries.v1")).items() if name != "timestamp"
    }
    assert validate(split(json.dumps(query).encode()), topic_named("search.queries.v1")).faults == []
