"""Dead letters keep the message whole and say why."""

import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.errors import PoisonError
from shared.kafka.publisher import weight
from shared.records import HEAD_BYTES, Damage, Excerpt, Partition, Record
from shared.streaming.dead_letter_topic import Letter
from shared.streaming.dead_letters import PREFIX, WHOLE_BYTES, DeadLetters, headers, original
from shared.testing.publisher import MemoryPublisher

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = (
    "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name",
    "exception.class.name", "exception.message", "exception.stacktrace",
)  # fmt: skip


def record(key=b"k", value=b"\xff\x00", own=()):
    return Record(Partition("search.events.v1", 2), 41, key, value, NOW, own)


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


async def test_what_a_stranger_wrote_to_a_repartition_topic_goes_where_letters_of_its_topic_go():
    publisher = MemoryPublisher()
    strange = replace(record(), partition=Partition("search.events.v1.repartition", 0))
    await DeadLetters(publisher, reader="w", by=Record).write(strange, PoisonError("a.b", "c"))
    [letter] = publisher.messages
    assert letter.topic == "search.events.v1.dlq"
    assert dict(letter.headers)[PREFIX + "topic"] == b"search.events.v1.repartition"


class SmallTopic(MemoryPublisher):
    """Takes no more than so many bytes a message."""

    def __init__(self, largest):
        super().__init__()
        self.largest = largest

    async def publish(self, messages):
        for message in messages:
            if weight(message) > self.largest:
                raise PoisonError("output.too_large", "the topic takes less")
        await super().publish(messages)


def part(content):
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("size", "largest"), [(WHOLE_BYTES + 1, 10**8), (500_000, 300_000)], ids=["any topic", "a small topic"]
)
async def test_what_is_too_large_for_a_letter_is_there_in_part_with_its_digest(size, largest):
    publisher = SmallTopic(largest)
    key, value, own = bytes(HEAD_BYTES + 1), b"v" * size, (("h", b"x" * HEAD_BYTES),)
    letters = DeadLetters(publisher, reader="w", by=Record)
    await letters.write(record(key, value, own), PoisonError("a.b", "c" * 10_000))
    [letter] = publisher.messages
    assert (letter.key, letter.value, original(letter.headers)) == (key[:-1], value[:HEAD_BYTES], ())
    cut = json.loads(dict(letter.headers)["headrace.cut"])
    assert cut == {"key": part(key), "value": part(value), "headers": part(b"h\0" + own[0][1] + b"\0")}
    assert dict(letter.headers)[PREFIX + "offset"] == b"41"
    assert weight(letter) < 4 * HEAD_BYTES


async def test_what_was_cut_when_it_was_read_is_said_in_the_letter():
    publisher = MemoryPublisher()
    damaged = Record(
        *(Partition("search.events.v1", 2), 41, b"k", b"head", NOW),
        damage=Damage("message.too_large", "a record of 9 bytes", (Excerpt("value", 9, "ab"),)),
    )
    await DeadLetters(publisher, reader="w", by=Record).write(damaged, PoisonError("a.b", "c"))
    [letter] = publisher.messages
    assert json.loads(dict(letter.headers)["headrace.cut"]) == {"value": {"bytes": 9, "sha256": "ab"}}


async def test_headers_that_a_producer_took_from_a_letter_come_back_as_they_were():
    publisher = MemoryPublisher()
    forged = ((PREFIX + "topic", b"x"), ("headrace.reason", b"y"), ("headrace.cut", b"{}"), ("n", None))
    await DeadLetters(publisher, reader="w", by=Record).write(record(own=forged), PoisonError("a.b", "c"))
    [letter] = publisher.messages
    assert original(letter.headers) == forged
    read = Letter(Record(Partition(letter.topic, 0), 0, letter.key, letter.value, NOW, letter.headers))
    assert (read.topic, read.reason, read.cut) == ("search.events.v1", "a.b", "")
