"""Records of a stream: messages, removals, and what cannot be read, each told."""

from datetime import UTC, datetime

import pytest

from headrace.entries import entry
from headrace.errors import UnreadableError
from schemas.alerts import Alert
from schemas.base import Message
from schemas.golden import golden
from schemas.judgements import Judgement
from schemas.search import SearchEvent, SearchQuery
from shared.records import Damage, Partition, Record

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def record(value: bytes | None, damage: Damage | None = None, key: bytes = b"k\t1") -> Record:
    return Record(Partition("t", 2), 7, key, value, NOW, damage=damage)


@pytest.mark.parametrize("kind", [Alert, Judgement, SearchEvent, SearchQuery])
def test_a_message_is_typed_and_says_where_it_lies(kind: type[Message]) -> None:
    read = entry(kind, record(golden(kind.topic)))
    assert isinstance(read.message, kind)
    assert (read.key, read.partition, read.offset, read.removed) == ("k\t1", 2, 7, False)


def test_a_tombstone_is_a_removal() -> None:
    read = entry(Judgement, record(None))
    assert read.removed
    with pytest.raises(LookupError, match="offset 7 of partition 2"):
        _ = read.message


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"alert_key": 1}'])
def test_what_is_no_message_is_told_when_it_is_taken_for_one(value: bytes) -> None:
    read = entry(Alert, record(value, key=b"\xff"))
    assert not read.removed
    assert read.unreadable
    with pytest.raises(UnreadableError, match="offset 7 of partition 2"):
        _ = read.message


def test_a_damaged_record_says_its_damage() -> None:
    read = entry(Alert, record(None, Damage("batch.unreadable", "a codec that is none")))
    assert (read.removed, read.unreadable) == (False, "batch.unreadable: a codec that is none")
