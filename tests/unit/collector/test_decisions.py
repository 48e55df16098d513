"""What the collector decides: messages of a body, times by wrong clocks, allowances of clients."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import EPOCH
from schemas.wire import decode_event
from services.collector.domain.allowance import Allowances, client_of
from services.collector.domain.body import messages_of
from services.collector.domain.intake import Receipt, read_event
from shared.records import Outgoing

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5)


@given(st.lists(OBJECTS, min_size=1, max_size=6), st.sampled_from([None, 2]))
def test_an_array_is_its_elements_byte_for_byte(objects, indent):
    body = json.dumps(objects, indent=indent).encode()
    messages = messages_of(body)
    assert [json.loads(message) for message in messages] == objects
    assert all(message in body for message in messages)


@given(st.lists(OBJECTS, min_size=1, max_size=6))
def test_lines_are_messages_and_empty_ones_are_none(objects):
    lines = [json.dumps(one) for one in objects]
    assert messages_of("\r\n\n".join(lines).encode()) == [f"{line}\r".encode() for line in lines[:-1]] + [
        lines[-1].encode()
    ]


@given(OBJECTS)
def test_one_message_may_take_many_lines(value):
    assert json.loads(messages_of(json.dumps(value, indent=1).encode())[0]) == value


def taken(event, sent=None, received=NOW):
    outcome = read_event(json.dumps({"action_name": "click", **event}).encode(), Receipt(received, sent))
    assert isinstance(outcome, Outgoing), outcome
    return decode_event(outcome.value), outcome


CLICKED = {"timestamp": "2026-11-30T11:59:00Z", "query_id": "q", "extra": {"kept": [1.50, "ü"]}}


def test_a_page_whose_clock_agrees_is_believed_and_its_event_stays_as_it_came():
    for sent in (None, NOW, NOW - timedelta(seconds=2)):
        _, outcome = taken(CLICKED, sent)
        assert outcome.value == json.dumps({"action_name": "click", **CLICKED}).encode()


@pytest.mark.parametrize(
    "wrong", [timedelta(days=-400), timedelta(hours=-2), timedelta(minutes=7), timedelta(days=9000)]
)
def test_a_wrong_clock_is_set_right_by_when_it_says_it_sent_the_event(wrong):
    happened = NOW - MINUTE
    event = {**CLICKED, "timestamp": (happened + wrong).isoformat()}
    read, outcome = taken(event, NOW + wrong)
    assert read.timestamp == happened
    assert json.loads(outcome.value)["extra"] == CLICKED["extra"]


def test_an_event_without_a_time_happened_when_it_was_sent():
    for event in ({}, {"timestamp": None}):
        assert taken(event)[0].timestamp == NOW
        assert taken(event, NOW + timedelta(days=3))[0].timestamp == NOW


@given(
    st.datetimes(timezones=st.just(UTC)) | st.integers(-(10**13), 10**13),
    st.none() | st.datetimes(min_value=EPOCH.replace(tzinfo=None), timezones=st.just(UTC)),
)
def test_no_time_and_no_clock_makes_it_fail(stated, sent):
    value = stated.isoformat() if isinstance(stated, datetime) else stated
    read_event(json.dumps({"action_name": "click", "timestamp": value}).encode(), Receipt(NOW, sent))


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail(value):
    assert not isinstance(read_event(value, Receipt(NOW)), Outgoing)


def test_an_allowance_comes_back_with_time_and_no_faster():
    allowances = Allowances(a_minute=60, clients=10)
    assert allowances.take("a", 60, now=NOW) == timedelta()
    assert allowances.take("a", 1, now=NOW) == timedelta(seconds=1)
    assert allowances.take("b", 1, now=NOW) == timedelta()
    assert allowances.take("a", 30, now=NOW + timedelta(seconds=20)) == timedelta(seconds=10)
    assert allowances.take("a", 30, now=NOW + timedelta(seconds=30)) == timedelta()
    assert allowances.take("a", 1000, now=NOW + 2 * MINUTE) == timedelta(), (
        "what is too large waits for all of it"
    )


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 90), st.integers(-30, 60)), max_size=60)
)
def test_nobody_gets_more_than_a_burst_and_the_rate_and_the_table_stays_small(turns):
    allowances, now, got = Allowances(a_minute=60, clients=4), NOW, 0
    latest = NOW
    for client, units, seconds in turns:
        now += timedelta(seconds=seconds)  # also backwards: a clock is set
        latest = max(latest, now)
        if allowances.take(client, units, now=now) == timedelta() and client == "a":
            got += min(units, 60)
        assert len(allowances) <= 4
    forgotten = sum(client != "a" for client, *_ in turns) // 4 + 1
    moved = sum(abs(seconds) for *_, seconds in turns)
    assert got <= 60 * forgotten + moved


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("a socket", "a socket"),
        ("", ""),
    ],
)
def test_a_site_of_ipv6_is_one_client(address, client):
    assert client_of(address) == client


def test_epoch_is_a_time_too():
    assert taken({"timestamp": 0}, None)[0].timestamp == EPOCH
