"""Which sources were accepted, as every reader has it in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.catalogue import Acceptance
from shared.catalogue.acceptances import NONE, Accepted
from shared.records import Partition, Record
from shared.settings import Settings
from shared.streaming.acceptance_log import AcceptanceLog

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def record(offset: int, value: bytes | None) -> Record:
    return Record(Partition(Acceptance.topic, 0), offset, b"version", value, NOON)


def acceptance(source: str, after: timedelta = timedelta()) -> Acceptance:
    return Acceptance(source=source, since=NOON + after, requested_at=NOON)


def test_it_has_each_acceptance_once_and_tells_of_each_that_is_new() -> None:
    log, told = AcceptanceLog(Settings()), list[int]()
    log.listeners.add(lambda: told.append(len(log.known)))
    first, second = acceptance("version"), acceptance("time", timedelta(seconds=1))
    for offset, message in enumerate([first, second, first]):
        log._take(record(offset, message.encode()))
    assert log.known == {Accepted.by(first), Accepted.by(second)}
    assert (log.messages, told) == ([first, second], [1, 2])


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"source": ""}'])
def test_what_cannot_be_read_is_passed_over(value: bytes | None) -> None:
    log = AcceptanceLog(Settings())
    log._take(record(0, value))
    assert log.known == NONE
