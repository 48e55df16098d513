"""Logs of the past: which rows are one search, and what of them is no log."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from schemas.search import SearchEvent, SearchQuery
from services.loader.domain.history import LogReader, RowReader, columns_of
from services.loader.domain.rows import FileRow, LineFault
from shared.errors import ConfigurationError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLDEST = NOON - timedelta(days=30)
COLUMNS = ("query", "product", "action", "time", "client", "position")


def searches(*rows, columns=COLUMNS):
    """Return the messages of each search, and the faults."""
    units = [FileRow(n, dict(zip(columns, row, strict=False))) for n, row in enumerate(rows, 2)]
    reader = RowReader(columns_of(columns, {}), "log", LogReader(SearchEvent, OLDEST))
    made, faults = [], []
    for search in reader.searches(iter(units)):
        if isinstance(search, LineFault):
            faults.append(search)
            continue
        read = reader.read(search)
        made.append(read.messages)
        faults += read.faults
    return made, faults


def at(minutes):
    return (NOON + timedelta(minutes=minutes)).isoformat()


def test_rows_of_one_visitor_and_query_are_one_search():
    [[query, click, cart]], faults = searches(
        ("boots", "B", "impression", at(0), "v1", "2"),
        ("boots", "A", "impression", at(0), "v1", "1"),
        ("boots", "B", "Click", at(1), "v1", "2"),
        ("boots", "B", "add_to_cart", at(2), "v1", "2"),
    )
    assert (query.query_response_object_ids, query.timestamp, query.client_id) == (("A", "B"), NOON, "v1")
    assert query.history
    assert {event.query_id for event in (click, cart)} == {query.query_id}
    assert (click.action_name, click.event_attributes.position.ordinal, click.history) == ("click", 2, True)
    assert faults == []


@pytest.mark.parametrize(
    "other",
    [
        ("shoes", "A", "click", at(1), "v1"),
        ("boots", "A", "click", at(1), "v2"),
        ("boots", "A", "click", at(31), "v1"),
    ],
    ids=["query", "visitor", "time"],
)
def test_another_query_visitor_or_time_is_another_search(other):
    made, _ = searches(("boots", "A", "click", at(0), "v1"), other)
    assert len({messages[0].query_id for messages in made}) == 2


def test_of_nobodys_rows_a_click_belongs_to_what_was_shown_before_it():
    shown = [("boots", product, "impression", at(0), "") for product in "AB"]
    made, _ = searches(*shown, ("boots", "B", "click", at(1), ""), ("boots", "C", "click", at(1), ""), *shown)
    assert [len(messages) for messages in made] == [2, 2, 1]
    assert made[1][0].found is None  # what was shown, nobody says


def test_a_search_with_an_id_is_told_by_it():
    columns = ("search_id", "search_term", "sku", "event", "ts")
    made, _ = searches(
        ("q1", "boots", "A", "click", "1763640000"),
        ("q1", "boots", "B", "click", "1763640001"),
        ("q2", "boots", "A", "click", "1763640002"),
        columns=columns,
    )
    assert [messages[0].query_id for messages in made] == ["q1", "q2"]
    assert len(made[0]) == 3


def test_a_file_that_is_loaded_twice_says_the_same_and_two_equal_rows_are_two_events():
    row = ("boots", "A", "click", at(0), "v1")
    assert searches(row, row) == searches(row, row)
    [[_, one, two]], _ = searches(row, row)
    assert one.event_id != two.event_id


def test_rows_that_are_none_say_why_with_their_line():
    made, faults = searches(
        ("boots", "", "click", at(0)),
        ("boots", "A", "click", "20.11.2026"),
        ("boots", "A", "click", "2025-01-01T00:00:00Z"),
    )
    told = [(fault.line, fault.reason, fault.lost) for fault in faults]
    assert told == [
        (2, "field.missing", True), (3, "time.invalid", True), (4, "history.too_old", False)
    ]  # fmt: skip
    assert len(made) == 1


def test_a_column_that_is_needed_is_asked_for():
    with pytest.raises(ConfigurationError, match="--map action=COLUMN; its columns are query, product, time"):
        columns_of(("query", "product", "time"), {})
    assert columns_of(("what", "sku", "did", "ts"), {"query": "what", "action": "did"})["product"] == "sku"


def test_lines_of_ubi_become_history_without_what_another_installation_ranked_by():
    query = {
        "query_id": "q1",
        "user_query": "boots",
        "timestamp": at(0),
        "query_response_hit_ids": "A B",
        "ranking": {"generation": "g9", "fingerprint": "0" * 16, "mode": "hybrid"},
    }
    event = {"action_name": "click", "timestamp": at(0), "query_id": None}
    queries, events = LogReader(SearchQuery, OLDEST), LogReader(SearchEvent, OLDEST)
    [read] = queries.read(FileRow(1, {"_source": query})).messages
    assert (read.query_response_object_ids, read.ranking, read.history) == (("A", "B"), None, True)
    assert SearchQuery.decode(read.encode()) == read
    assert queries.read(FileRow(2, event)) == events.read(FileRow(1, query)) == ((), ())
    assert events.read(FileRow(3, {"index": {"_id": "x"}})) == ((), ())
    assert [fault.reason for fault in events.read(FileRow(2, event)).faults] == ["history.no_query"]
    [fault] = events.read(FileRow(9, {"action_name": "click", "timestamp": "\x1b"})).faults
    assert (fault.line, fault.reason, fault.lost, fault.fix.isprintable()) == (9, "time.invalid", True, True)
    assert orjson.loads(read.encode())["history"] is True
