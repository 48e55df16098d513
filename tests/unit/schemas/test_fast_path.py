"""What the fast path reads is what the way of every form reads, error for error."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.base import MAX_TEXT_BYTES
from schemas.wire import SkippedMessage, WireError, fast_path
from schemas.wire.catalogue import _read
from schemas.wire.change import Envelope, complete
from tests.unit.schemas.strategies import EPOCH, floats, moments, texts, values, written

odd = st.one_of(
    values,
    st.integers(-(2**80), 2**80),
    st.recursive(
        values, lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)), max_leaves=4
    ),
    st.sampled_from(
        ["x" * (MAX_TEXT_BYTES // 4 + 1), "é" * MAX_TEXT_BYTES, "12", "", [None], [[1]], [{"a": 1}]]
    ),
)
odd_names = st.one_of(st.sampled_from(["title", "price", "a.b", "a", "", "\n", "n" * 300]), texts)
odd_times = st.one_of(
    moments.map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
    moments.map(lambda moment: moment.isoformat()),
    st.sampled_from(
        ["2026-02-30T00:00:00Z", "2026-W01-1T00:00:00Z", "٢026-01-01T00:00:00Z", "2026-01-01T12:00:00.Z"]
    ),
    odd,
)
odd_messages = st.fixed_dictionaries(
    {
        "product_id": st.one_of(st.sampled_from(["p", "", " p", "x" * 129]), odd),
        "op": st.one_of(st.sampled_from(["upsert", "patch", "patch", "delete", "d"]), odd),
        "fields": st.one_of(st.dictionaries(odd_names, odd, max_size=6), odd),
    },
    optional={
        "version": st.one_of(st.integers(-1, 2**64), floats, odd),
        "event_time": odd_times,
        "replaces": st.one_of(st.lists(odd_names, max_size=2), odd),
        "kept": odd,
        "source": odd,
        "_id": texts,
        "specversion": texts,
        "__op": texts,
    },
)
headers = st.dictionaries(
    st.sampled_from(["version", "ce_specversion", "Content-Type", "traceparent", "__op", "x"]),
    st.sampled_from([b"7", b"1.0", b"application/cloudevents+json", b"\xff"]),
    max_size=2,
).map(lambda named: list(named.items()))
AT = {"timestamp": EPOCH.replace(year=2026), "partition": 1, "offset": 7}


def outcome(read, envelope):
    try:
        return complete(read(), envelope)
    except WireError as error:
        return error.reason, error.explanation
    except SkippedMessage as skipped:
        return skipped.kind


def both(value, given_headers=()):
    envelope = Envelope.of(b"k", list(given_headers), **AT)
    draft = fast_path.read(value, envelope)
    if draft is None:
        return None
    return outcome(lambda: draft, envelope), outcome(lambda: _read(value, envelope), envelope)


@given(message=odd_messages, named=headers)
@example(message={"product_id": "p", "op": "patch", "fields": {"price": 1e22}, "version": 2**63}, named=[])
@example(message={"product_id": "p", "op": "patch", "fields": {"n": -0.0}, "version": 5.0}, named=[])
def test_whatever_it_takes_means_the_same_on_both_ways(message, named):
    if (ways := both(json.dumps(message).encode(), named)) is not None:
        fast, every = ways
        assert repr(fast) == repr(every)


@given(message=odd_messages)
def test_a_product_that_is_known_at_a_glance_is_that_of_the_change_and_nothing_is_wrong_with_it(message):
    value = json.dumps(message).encode()
    if (known := fast_path.product_id(value)) is not None:
        envelope = Envelope.of(b"k", [], **AT)
        reading = complete(_read(value, envelope), envelope)
        assert (reading.change.product_id, reading.cut, reading.left_out) == (known, (), ())


@given(change=written, cut=st.integers(0, 400), put=st.binary(max_size=3))
def test_broken_bytes_mean_the_same_on_both_ways(change, cut, put):
    value = change.encode()
    if (ways := both(value[:cut] + put + value[cut + len(put) :])) is not None:
        fast, every = ways
        assert repr(fast) == repr(every)


@given(change=written)
def test_a_change_as_our_own_producers_write_it_goes_the_fast_path(change):
    assert (both(change.encode()) is not None) == bool(change.fields)  # fields at their default are left out


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b'{"product_id":"p","op":"delete","fields":{}}',
        b'{"product_id":"p","op":"patch","fields":{"a":{"b":1}}}',
        b'{"product_id":"p","op":"patch","fields":{"a":[null]}}',
        b'{"product_id":"p","op":"patch","fields":{"a":1},"kept":["b"]}',
        b'{"product_id":"p","op":"patch","fields":{"a":1},"source":{}}',
        b'{"product_id":7,"op":"patch","fields":{"a":1}}',
    ],
)
def test_what_needs_a_second_look_is_left_to_the_way_of_every_form(value):
    assert both(value) is None
