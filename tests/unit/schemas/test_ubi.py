import gzip
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.search import SearchEvent, SearchQuery, foreign_id
from schemas.wire import REASONS, WireError, decode_event, decode_query
from tests.unit.schemas.strategies import events, queries

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUERY = {"query_id": "q-1", "user_query": "shoe", "timestamp": "2026-11-21T12:00:00Z"}
EVENT = {"action_name": "click", "timestamp": "2026-11-21T12:00:00Z"}
BY_SPECIFICATION = {"id.missing", "field.missing", "field.too_long", "field.invalid", "time.invalid"}


def query(**fields: Any) -> SearchQuery:
    return decode_query(json.dumps({**QUERY, **fields}).encode())


def event(**fields: Any) -> SearchEvent:
    return decode_event(json.dumps({**EVENT, **fields}).encode())


def lines(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """Every line of the UBI data: (file, kind, JSON)."""
    with (folder / "ubi_queries_events.ndjson").open("rb") as bulk:
        for action in bulk:
            yield "ndjson", json.loads(action)["index"]["_index"], next(bulk)
    for kind in ("ubi_queries", "ubi_events"):
        with gzip.open(folder / f"osd_{kind}.json.gz") as packed:
            for line in packed:
                yield "dashboards", kind, line
    with zipfile.ZipFile(folder / "log_events.zip") as archive, archive.open(archive.namelist()[0]) as log:
        for line in log:
            kind, _, value = line.partition(b"\t")
            yield "log", kind.decode(), value


@pytest.mark.skipif("HEADRACE_DATA" not in os.environ, reason="HEADRACE_DATA names no folder with UBI data")
def test_real_ubi_data_is_accepted_line_by_line_or_refused_as_the_specification_says(
    capsys: pytest.CaptureFixture[str],
):
    folder = Path(os.environ["HEADRACE_DATA"]) / "ubi"
    if not folder.is_dir():
        pytest.skip("HEADRACE_DATA has no ubi folder")
    counts: Counter[tuple[str, str, str]] = Counter()
    for file, kind, value in lines(folder):
        try:
            decode_query(value) if kind == "ubi_queries" else decode_event(value)
        except WireError as error:
            counts[file, kind, error.reason] += 1
        else:
            counts[file, kind, "accepted"] += 1
    with capsys.disabled():
        for (file, kind, verdict), count in counts.items():
            print(f"{file} {kind} {verdict}: {count}")  # noqa: T201 - the counts are what this test shows
    assert sum(counts.values()) > 0
    assert {verdict for _, _, verdict in counts} <= {"accepted", *BY_SPECIFICATION}


def test_only_what_ubi_requires_is_required():
    assert event().action_name == "click"
    assert query().user_query == "shoe"
    with pytest.raises(WireError, match=r"field\.missing.*action_name"):
        decode_event(b'{"timestamp":"2026-11-21T12:00:00Z"}')
    with pytest.raises(WireError, match=r"field\.missing.*timestamp"):
        decode_event(b'{"action_name":"click"}')
    with pytest.raises(WireError, match=r"field\.missing.*user_query"):
        decode_query(b'{"query_id":"q-1","timestamp":1}')
    with pytest.raises(WireError, match=r"id\.missing.*query_id"):
        decode_query(b'{"user_query":"shoe","timestamp":1}')


def test_a_query_without_a_time_takes_the_records():
    value = b'{"query_id":"q-1","user_query":"shoe"}'
    assert decode_query(value, timestamp=NOW).timestamp == NOW
    with pytest.raises(WireError, match=r"field\.missing"):
        decode_query(value)


@pytest.mark.parametrize(
    "text",
    ["2018-11-13T20:20:39+00:00", "2018-11-13T20:20:39Z", "2018-11-13T20:20:39", 1542140439000, 1542140439],
)
def test_times_of_the_specification_and_of_its_plugins_are_read(text: object):
    assert event(timestamp=text).timestamp == datetime(2018, 11, 13, 20, 20, 39, tzinfo=UTC)


def test_hit_ids_are_read_under_both_names_and_written_as_ubi_1_3_names_them():
    for name in ("query_response_hit_ids", "query_response_object_ids"):
        read = query(**{name: ["A", "B"]})
        assert read.query_response_object_ids == ("A", "B")
        assert json.loads(read.encode())["query_response_hit_ids"] == ["A", "B"]


def test_an_object_id_that_is_no_product_id_is_encoded_alike_in_queries_and_events():
    for strange in ("ISBN 0-061-96436-0", "Käse", "A\t1", "x" * 256, "ü" * 256, 17):
        shown = query(query_response_hit_ids=[strange, "A"]).query_response_object_ids
        acted = event(event_attributes={"object": {"object_id": strange}}).event_attributes.object
        assert acted is not None
        assert shown == (acted.object_id, "A")
    for ours in ("ISBN 0-061-96436-0", "Käse", "A-1%20"):
        assert foreign_id(ours) == ours
    assert foreign_id("A\t1") == "A%091"


def test_null_and_empty_stand_for_absent():
    read = event(user_id="", session_id=None, query_id="", event_attributes=None, message=None)
    assert (read.user_id, read.session_id, read.query_id) == (None, None, None)
    assert read.event_attributes.object is None


def test_any_action_up_to_100_characters_is_accepted():
    assert event(action_name="in store visit").action_name == "in store visit"
    assert event(action_name="x" * 100)
    with pytest.raises(WireError, match=r"field\.too_long"):
        event(action_name="x" * 101)


def test_positions_are_kept_when_they_can_be_one():
    def ordinal(position: object) -> int | None:
        where = event(event_attributes={"position": position}).event_attributes.position
        return where.ordinal if where else None

    assert ordinal({"ordinal": 3, "x": 1.5, "y": -4, "trail": ["/a"]}) == 3
    assert ordinal({"xy": {"x": 1, "y": 2}}) is None
    assert ordinal({"ordinal": -7}) is None
    assert ordinal({"ordinal": 10**9}) is None
    with pytest.raises(WireError, match=r"field\.invalid.*ordinal"):
        ordinal({"ordinal": "first"})


def test_a_session_in_the_attributes_counts_when_there_is_no_other():
    assert event(event_attributes={"session_id": "s-1"}).session_id == "s-1"
    assert event(event_attributes={"session_id": "s-1"}, session_id="s-2").session_id == "s-2"


def test_a_long_query_is_cut_not_refused():
    assert query(user_query="é" * 20_000).user_query == "é" * 16_384


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "message.null"),
        (b"", "json.invalid"),
        (b'{"action_name":"click","timestamp":"soon"}', "time.invalid"),
        (b'{"action_name":"click","timestamp":1e999}', "field.number_not_finite"),
        (b'{"action_name":"click","timestamp":"0001-01-01T00:00:00+01:00"}', "time.invalid"),
        (rb'{"action_name":"click","timestamp":1,"query_id":"a\u0000"}', "id.invalid"),
        (
            b'{"action_name":"click","timestamp":1,"event_attributes":{"dwell":1e999}}',
            "field.number_not_finite",
        ),
        (b'{"action_name":"click","timestamp":1,"event_attributes":[]}', "field.invalid"),
        (b'{"action_name":7,"timestamp":1}', "field.invalid"),
        (b'{"action_name":"click","timestamp":1,"x":' + b"[" * 50 + b"]" * 50 + b"}", "json.too_deep"),
    ],
)
def test_poison_is_refused_with_its_reason(value: bytes | None, reason: str):
    with pytest.raises(WireError) as refused:
        decode_event(value)
    assert refused.value.reason == reason
    assert reason in REASONS


@settings(max_examples=100, deadline=None)
@given(query=queries, event=events)
def test_queries_and_events_written_are_read_as_the_same(query: SearchQuery, event: SearchEvent):
    assert decode_query(query.encode()) == query
    assert decode_event(event.encode()) == event


NAMES = [*SearchQuery.model_fields, *SearchEvent.model_fields, "object", "object_id", "position", "ordinal"]
NAMES += ["query_response_hit_ids", "generation", "fingerprint"]
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
)


@settings(max_examples=300, deadline=None)
@given(tree=st.dictionaries(st.sampled_from(NAMES), trees, max_size=8))
def test_any_json_with_ubi_names_is_a_message_or_a_wire_error(tree: object):
    for decode in (decode_query, decode_event):
        with suppress(WireError):
            message = decode(json.dumps({**QUERY, **EVENT, **tree}).encode())  # type: ignore[dict-item]
            assert decode(message.encode()) == message
