"""`headrace topics list | diff | apply`: the plan needs no broker, and a difference reads as a sentence."""

import json
from datetime import UTC, datetime

import pytest

from schemas.golden import golden
from schemas.index import IndexRecord
from schemas.topics import all_topics
from services.cli import topics
from shared.infrastructure.topic_plan import TopicAction, TopicDifference, Wanted
from shared.records import Partition, Record

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def wanted(name: str = "a.v1", partitions: int = 4) -> Wanted:
    return Wanted(name, partitions)


def difference(action: TopicAction, **fields) -> TopicDifference:
    return TopicDifference(
        **{"wanted": wanted(), "action": action, "before": 4, "config": {}, "why": "", **fields}
    )


def test_the_plan_has_every_topic_with_what_a_client_must_know(headrace) -> None:
    rows = headrace("topics", "list", "--json").json["topics"]
    assert [row["topic"] for row in rows] == [topic.name for topic in all_topics("g1")]
    keys = {"topic", "key", "message", "partitions", "cleanup", "retention", "description"}
    assert all(set(row) == keys for row in rows)
    by_name = {row["topic"]: row for row in rows}
    assert by_name["catalogue.changes.v1"]["key"] == "product id"
    assert by_name["index.records.g1"]["retention"] == "by key"
    assert by_name["search.events.v1"]["retention"].endswith(" days")


def test_names_take_the_prefix_and_counts_the_setting(headrace, monkeypatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPIC_PREFIX", "shop.")
    monkeypatch.setenv("HEADRACE_PARTITIONS", "6")
    rows = {row["topic"]: row for row in headrace("topics", "list", "--json").json["topics"]}
    assert rows["shop.catalogue.changes.v1"]["partitions"] == 6


def test_the_plan_as_a_table_names_its_columns(headrace) -> None:
    done = headrace("topics", "list")
    assert done.lines[0] == "topic partitions cleanup retention"
    place = next(number for number, line in enumerate(done.lines) if line.startswith("alerts.v1 "))
    assert done.lines[place + 1].startswith("Alert by ")
    assert done.fits()


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_without_a_broker_the_error_says_how_to_get_one(headrace, command) -> None:
    done = headrace("topics", command)
    assert (done.code, done.out) == (1, "")
    assert "headrace up" in done.error


def test_what_would_be_done_is_a_row_and_a_sum(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    differences = [
        difference(TopicAction.UNCHANGED),
        difference(TopicAction.CREATE, before=None, config={"retention.ms": (None, "1")}),
        difference(TopicAction.GROW, before=2, config={"cleanup.policy": ("delete", "compact")}),
        difference(TopicAction.UNCHANGED, wanted=wanted(partitions=9), before=9, why="keeps them"),
    ]
    topics._show(differences, "host:1", json_=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "a.v1 unchanged 4"
    assert lines[2:4] == ["a.v1 create 4", "retention.ms=1"]
    assert lines[4].endswith("2 -> 4")
    assert lines[5] == "cleanup.policy: delete -> compact"
    assert lines[6].endswith("9")
    assert lines[7] == "keeps them"
    assert lines[-1] == "host:1: 4 topics, 2 to change"


def test_a_difference_as_json_has_before_and_after(capsys) -> None:
    topics._show(
        [difference(TopicAction.GROW, before=2, config={"retention.ms": ("1", "2")})], "host:1", json_=True
    )
    assert topics.json.loads(capsys.readouterr().out) == {
        "broker": "host:1",
        "topics": [
            {
                "topic": "a.v1",
                "action": TopicAction.GROW.value,
                "partitions": {"before": 2, "after": 4},
                "config": {"retention.ms": {"before": "1", "after": "2"}},
                "why": "",
            }
        ],
    }


@pytest.mark.parametrize("action", TopicAction)
def test_every_action_can_be_shown(capsys, action) -> None:
    topics._show([difference(action)], "host:1", json_=False)
    assert action.value.split()[0] in capsys.readouterr().out


def test_a_binary_message_is_shown_as_json() -> None:
    written = IndexRecord.decode(golden("index.records"))
    at = Record(Partition("index.records.g1", 1), 7, written.key(), written.encode(), NOW, (("a", b"1"),))
    shown = topics.message_of(at)
    assert shown["value"] == json.loads(written.as_json())
    assert (shown["key"], shown["offset"], shown["headers"]) == (written.product_id, 7, {"a": "1"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, None), (b'{"a":1}', {"a": 1}), (b"words", "words"), (b"\xff\xc1", "\\xff\\xc1"), (b"", "")],
)
def test_any_other_message_is_shown_as_what_it_says(value: bytes | None, shown: object) -> None:
    assert topics.message_of(Record(Partition("t", 0), 7, None, value, NOW))["value"] == shown
