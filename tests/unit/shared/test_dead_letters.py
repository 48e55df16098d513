"""Dead letters keep the message whole and say why."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.dead_letters import PREFIX, DeadLetters, headers, original
from shared.errors import PoisonError
from shared.records import Partition, Record
from shared.testing.publisher import MemoryPublisher

NAMES = (
    "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name",
    "exception.class.name", "exception.message", "exception.stacktrace",
)  # fmt: skip


def record(key=b"k", value=b"\xff\x00", own=()):
    return Record(Partition("search.events.v1", 2), 41, key, value, datetime(2026, 1, 1, tzinfo=UTC), own)


def test_the_ten_connect_headers_and_the_reason_are_there():
    found = dict(
        headers(record(), PoisonError("json.invalid", "not JSON"), reader="judgements-join", by=Record)
    )
    assert {name for name in found if name.startswith(PREFIX)} == {PREFIX + name for name in NAMES}
    assert found[PREFIX + "offset"] == b"41"
    assert found[PREFIX + "connector.name"] == b"headrace-judgements-join"
    assert found[PREFIX + "class.name"] == b"shared.records.Record"
    assert found["headrace.reason"] == b"json.invalid"


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    own=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5))).map(tuple),
)
async def test_key_value_and_headers_come_back_as_they_were(key, value, own):
    publisher = MemoryPublisher()
    await DeadLetters(publisher, reader="w", by=Record).write(
        record(key, value, own), PoisonError("a.b", "c")
    )
    [letter] = publisher.messages
    assert letter.topic == "search.events.v1.dlq"
    assert (letter.key, letter.value, original(letter.headers)) == (key, value, own)
