"""What a record states is said by the log that it lies in, whoever wrote it there."""

from datetime import UTC, datetime

import pytest

from schemas.golden import golden
from schemas.search import SearchEvent, SearchQuery
from services.judgements.join import EVENT_LOGS, QUERY_LOGS, searched
from shared.errors import PoisonError
from shared.records import Partition, Record

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def lying(log: str, kind: type[SearchQuery] | type[SearchEvent]) -> Record:
    return Record(Partition(log, 0), 3, b"k", golden(kind.topic), NOON)


@pytest.mark.parametrize("log", QUERY_LOGS)
def test_a_log_of_queries_has_queries(log: str) -> None:
    assert isinstance(searched(lying(log, SearchQuery)), SearchQuery)
    with pytest.raises(PoisonError):
        searched(Record(Partition(log, 0), 3, b"k", b'{"action_name": "click"}', NOON))


@pytest.mark.parametrize("log", EVENT_LOGS)
def test_a_log_of_events_has_events(log: str) -> None:
    assert isinstance(searched(lying(log, SearchEvent)), SearchEvent)
    with pytest.raises(PoisonError):
        searched(lying(log, SearchQuery))
