"""Letters are found, told apart, and written back as they came."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import DEAD_LETTER_SUFFIX, TOPICS, index_records
from shared.errors import ConfigurationError, PoisonError
from shared.records import Outgoing, Partition, Record
from shared.settings import Settings
from shared.streaming.dead_letter_topic import Letter, LetterSelection, dead_letter_topics, topic_of
from shared.streaming.dead_letters import PREFIX, DeadLetters
from shared.testing.publisher import MemoryPublisher

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVENTS = "search.events.v1"
keys = st.none() | st.binary(max_size=8)
headers = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=4)), max_size=3).map(tuple)


def letter(*headers: tuple[str, bytes], offset: int = 0, topic: str = EVENTS) -> Letter:
    partition = Partition(topic + DEAD_LETTER_SUFFIX, 0)
    return Letter(Record(partition, offset, b"k", b"v", NOW, headers))


async def dead_lettered(record: Record, reason: str = "json.invalid") -> Letter:
    """Return the letter that a worker writes, as it is read again."""
    publisher = MemoryPublisher()
    await DeadLetters(publisher, reader="w", by=Record).write(record, PoisonError(reason, "why"))
    [written] = publisher.messages
    return Letter(Record(Partition(written.topic, 0), 5, written.key, written.value, NOW, written.headers))


@given(key=keys, value=keys, headers=headers, number=st.integers(0, 99), offset=st.integers(0, 2**40))
async def test_a_letter_goes_back_as_it_came_to_where_it_came_from(key, value, headers, number, offset):
    record = Record(Partition(EVENTS, number), offset, key, value, NOW, headers)
    read = await dead_lettered(record)
    assert read.message() == Outgoing(EVENTS, key, value, headers, partition=number)
    assert read.source == f"{EVENTS}-{number} @ {offset}"
    assert read.reason == "json.invalid"


@given(key=keys, value=keys, headers=headers)
async def test_a_message_that_is_dead_lettered_twice_goes_back_as_it_came_the_first_time(key, value, headers):
    record = Record(Partition(EVENTS, 1), 7, key, value, NOW, headers)
    again = (await dead_lettered(record)).message()
    second = Record(Partition(EVENTS, again.partition), 9, again.key, again.value, NOW, again.headers)
    assert (await dead_lettered(second)).message() == again


def test_a_letter_of_a_foreign_writer_is_read_as_far_as_it_goes():
    foreign = letter(("x", b"1"))
    assert (foreign.topic, foreign.reason) == (EVENTS, "unknown")
    assert foreign.source == f"{EVENTS}-? @ ?"
    assert foreign.message() == Outgoing(EVENTS, b"k", b"v", (("x", b"1"),), partition=None)


@pytest.mark.parametrize("claimed", [b"", b"-1", b"one", b"1.5", b"\xff"])
def test_a_partition_that_is_no_number_is_left_to_the_key(claimed):
    assert letter((PREFIX + "partition", claimed)).message().partition is None


def test_headers_that_are_not_text_stop_nobody():
    strange = letter((PREFIX + "topic", b"\xff"), ("headrace.reason", b"\xfe"))
    assert (strange.topic, strange.reason) == ("\ufffd", "\ufffd")


@given(
    offset=st.integers(0, 5),
    reason=st.sampled_from(["json.invalid", "id.missing"]),
    offsets=st.frozensets(st.integers(0, 5)),
    wanted=st.sampled_from(["", "json.invalid", "id.missing"]),
)
def test_a_selection_takes_what_all_of_its_conditions_hold_for(offset, reason, offsets, wanted):
    selection = LetterSelection(offsets=offsets, reason=wanted)
    selected = selection(letter(("headrace.reason", reason.encode()), offset=offset))
    assert selected == ((offset in offsets or not offsets) and wanted in ("", reason))


def test_every_topic_with_dead_letters_is_known_with_and_without_the_suffix():
    settings = Settings()
    named = [topic.name for topic in [*TOPICS, index_records(settings.generation)] if topic.dead_letters]
    assert dead_letter_topics(settings) == [name + DEAD_LETTER_SUFFIX for name in named]
    for name in named:
        assert topic_of(name, settings) == topic_of(name + DEAD_LETTER_SUFFIX, settings) == f"{name}.dlq"


@pytest.mark.parametrize("name", ["models.v1", "nothing.v1", "", "search.events.v1.dlq.dlq"])
def test_a_topic_without_dead_letters_is_refused_with_those_that_have_some(name):
    with pytest.raises(ConfigurationError, match=r"has no dead letters; .*search\.events\.v1\.dlq"):
        topic_of(name, Settings())
