"""A compacted topic is a dictionary: the last value of each key, whatever is read again."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.control import Command
from shared.kafka.compacted import CompactedTopic, read_item, read_items
from shared.records import Partition
from shared.settings import Settings
from tests.unit.shared.kafka.log import record

AT = Partition("models.v1", 0)
keys = st.sampled_from([b"a", b"b", b"c", None])
logs = st.lists(st.tuples(keys, st.none() | st.sampled_from([b"1", b"2"])), max_size=12)


def kept(log: list[tuple[bytes | None, bytes | None]], *, again_from: int | None = None) -> CompactedTopic:
    topic = CompactedTopic(Settings(), AT.topic)
    records = [record(AT, offset, key, value) for offset, (key, value) in enumerate(log)]
    for read in records + ([] if again_from is None else records[again_from:]):
        topic._keep(read)
    return topic


@given(logs)
def test_it_has_the_last_value_of_each_key_and_none_that_was_removed(log):
    last = {key: value for key, value in log if key is not None}
    topic = kept(log)
    assert topic.items == {key: value for key, value in last.items() if value is not None}


@given(logs)
def test_behind_each_item_is_the_record_that_says_where_it_lies(log):
    topic = kept(log)
    assert topic.records.keys() == topic.items.keys()
    for key, source in topic.records.items():
        assert (source.key, source.value) == (key, topic.items[key])
        assert source.offset == max(offset for offset, (name, _) in enumerate(log) if name == key)


@given(logs, st.integers(0, 12))
def test_what_is_read_again_after_an_outage_changes_nothing(log, again_from):
    assert kept(log, again_from=again_from).items == kept(log).items


def test_what_is_no_message_of_the_kind_is_left_out():
    command = Command(command_id="c", name="canaries.run", requested_at=datetime.now(UTC))
    assert read_items(Command, [b"", b"[]", b"{}", command.encode(), b"\xff"]) == [command]
    assert read_item(Command, None) is None
