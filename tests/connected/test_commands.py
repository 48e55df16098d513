"""Commands on a real broker and a real Redis: each does what it says, and refuses what it must.

They run in this process, against topics that hold what the workers would have written.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import structlog

from schemas.alerts import Alert
from schemas.base import Message
from schemas.catalogue import ProductChange
from schemas.control import Model, TrainingJob
from schemas.golden import golden
from schemas.index import AttributeRecord, IndexRecord
from schemas.judgements import ActionStatistics, Judgement
from schemas.search import SearchEvent, SearchQuery
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.ports import outgoing
from shared.records import Outgoing, Record
from shared.settings import Settings
from tests.command_line import TERMINAL, Finished, Headrace, finish

pytestmark = pytest.mark.connected
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def settings(kafka, redis_url, topic_prefix, namespace, tmp_path, monkeypatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    installation = {
        "HEADRACE_KAFKA": kafka,
        "HEADRACE_REDIS": redis_url,
        "HEADRACE_TOPIC_PREFIX": topic_prefix,
        "HEADRACE_NAMESPACE": namespace,
        "HEADRACE_PARTITIONS": "2",
    }
    for name, value in {**installation, **TERMINAL}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Settings.load()


@pytest.fixture
def headrace(settings, capsys) -> Iterator[Headrace]:
    asyncio.run(apply(settings))
    on_terminate, level = signal.getsignal(signal.SIGTERM), logging.getLogger("aiokafka").level

    def headrace(*arguments: str) -> Finished:
        return finish(capsys, *arguments)

    yield headrace
    signal.signal(signal.SIGTERM, on_terminate)
    logging.getLogger("aiokafka").setLevel(level)
    structlog.reset_defaults()


def publish(settings: Settings, *messages: Message | Outgoing) -> None:
    async def write() -> None:
        publisher = KafkaPublisher(settings)
        await publisher.start()
        await publisher.publish([m if isinstance(m, Outgoing) else outgoing(m) for m in messages])
        await publisher.stop()

    asyncio.run(write())


def read(settings: Settings, *topics: str) -> list[Record]:
    async def records() -> list[Record]:
        async with TopicReader(settings, topics) as reader:
            return [record async for record in reader.news()]

    return asyncio.run(records())


def alert(key: str, **fields) -> Alert:
    return Alert(
        **{
            "alert_key": key,
            "status": "firing",
            "severity": "warning",
            "summary": "something is wrong",
            "action": "look",
            "started_at": NOW,
            "updated_at": NOW,
            **fields,
        }
    )


def test_topics_that_are_as_they_should_be_are_left_alone(headrace) -> None:
    done = headrace("topics", "diff", "--json")
    assert done.code == 0
    assert {row["action"] for row in done.json["topics"]} == {"unchanged"}
    again = headrace("topics", "apply")
    assert again.code == 0
    assert again.lines[-1].endswith("0 to change")
    assert again.fits()


def test_topics_that_hold_messages_of_others_keep_their_partitions(headrace, settings, monkeypatch) -> None:
    publish(settings, SearchQuery(query_id="q", user_query="lamp", timestamp=NOW))
    monkeypatch.setenv("HEADRACE_PARTITIONS", "5")
    done = headrace("topics", "apply", "--json")
    assert done.code == 0
    kept = {row["topic"].removeprefix(settings.topic_prefix): row for row in done.json["topics"]}
    assert kept[SearchQuery.topic]["partitions"] == {"before": 2, "after": 2}
    assert kept[SearchQuery.topic]["why"] == "keeps its 2 partitions: 5 count only for a new topic"
    assert kept[SearchEvent.topic]["partitions"] == {"before": 2, "after": 5}  # nobody has written to it yet


def test_records_in_binary_are_shown_as_json_those_of_a_product_by_its_id(headrace, settings) -> None:
    written = IndexRecord.decode(golden(IndexRecord.topic))
    beside = AttributeRecord.decode(golden(AttributeRecord.topic))
    other = written.model_copy(update={"product_id": "SHOE-47110"})
    publish(settings, *(outgoing(record, topic="index.records.g1") for record in (written, other, beside)))
    shown = [json.loads(line) for line in headrace("topics", "show", "index.records.g1").lines]
    assert {message["value"]["product_id"] for message in shown} == {"SHOE-4711", "SHOE-47110"}
    shown = [
        json.loads(line)
        for line in headrace("topics", "show", "index.records.g1", "--key", "SHOE-4711").lines
    ]
    values = {message["key"]: message["value"] for message in shown}
    assert values.keys() == {"SHOE-4711", "SHOE-4711\0attributes"}
    assert values["SHOE-4711\0attributes"]["changes"]["fields"] == {"price": 99.9, "stock": 3}
    assert headrace("topics", "show", "index.records.g1", "--last", "1").lines[0]
    unknown = headrace("topics", "show", "nothing.v1")
    assert unknown.code != 0
    assert "there is no topic nothing.v1" in unknown.error


def test_alerts_are_followed_listed_and_closed(headrace, settings) -> None:
    publish(
        settings,
        alert("a", resolution="manual"),
        alert("b"),
        alert("c"),
        alert("c", status="resolved"),
        Outgoing(Alert.topic, b"c", b"{"),
    )
    past = headrace("alerts", "tail", "--no-follow", "--json").json["alerts"]
    assert [each["alert_key"] for each in past] == ["a", "b", "c", "c"]
    assert len(headrace("alerts", "tail", "--no-follow", "--last", "1").out.splitlines()) == 1
    assert {each["alert_key"] for each in headrace("alerts", "tail", "--open", "--json").json["alerts"]} == {
        "a",
        "b",
    }
    refused = headrace("alerts", "resolve", "a", "b")
    assert (refused.code, "b resolves by itself" in refused.error) == (2, True)
    closed = headrace("alerts", "resolve", "a", "--note", "published again")
    assert closed.code == 0
    assert "(closed by hand: published again)" in closed.out
    assert headrace("alerts", "resolve", "a").code == 2
    assert [each["alert_key"] for each in headrace("alerts", "tail", "--open", "--json").json["alerts"]] == [
        "b"
    ]


def test_canaries_are_added_replaced_listed_and_removed(headrace, tmp_path: Path) -> None:
    assert headrace("canaries", "list").out.startswith("no canaries; `headrace canaries add")
    added = headrace("canaries", "add", "trail shoe", "A", "B", "--json").json
    assert (added["query"], added["product_ids"]) == ("trail shoe", ["A", "B"])
    assert headrace("canaries", "add", "trail shoe", "C").out == f"added {added['canary_id']}: “trail shoe”\n"
    (tmp_path / "canaries.tsv").write_text("boot\tX\nboot\tY\nsofa\tZ\n")
    assert headrace("canaries", "import", "canaries.tsv").out == "added 2\n"
    listed = headrace("canaries", "list", "--json").json["canaries"]
    assert {each["query"]: each["product_ids"] for each in listed} == {
        "trail shoe": ["C"],
        "boot": ["X", "Y"],
        "sofa": ["Z"],
    }
    assert headrace("canaries", "list").fits()
    unknown = headrace("canaries", "remove", added["canary_id"], "nobody")
    assert (unknown.code, unknown.error) == (2, "there is no canary nobody")
    assert headrace("canaries", "remove", added["canary_id"]).out == "removed 1\n"
    assert len(headrace("canaries", "list", "--json").json["canaries"]) == 2


def test_canaries_cannot_be_run_without_a_search(headrace, monkeypatch) -> None:
    assert headrace("canaries", "run").code == 2
    headrace("canaries", "add", "trail shoe", "A")
    monkeypatch.setenv("HEADRACE_MONITOR__SEARCH_URL", "http://127.0.0.1:9")
    done = headrace("canaries", "run")
    assert done.code == 1
    assert done.error.startswith("search at http://127.0.0.1:9 cannot be asked: ")


def judgement(product_id: str, grade: float) -> Judgement:
    return Judgement(
        query="trail shoe",
        product_id=product_id,
        window_start=NOW.date(),
        window_end=NOW.date(),
        impressions=9,
        shoppers=3,
        actions={"click": ActionStatistics(count=4)},
        value=grade,
        grade=grade,
        updated_at=NOW,
    )


def test_judgements_are_shown_best_first_and_exported(headrace, settings, tmp_path: Path) -> None:
    taken_back = Outgoing(Judgement.topic, judgement("C", 3).key(), None)
    publish(settings, judgement("A", 1), judgement("B", 2.6), judgement("C", 3), taken_back)
    shown = headrace("judgements", "show", "Trail Shoe", "--json").json
    assert [each["product_id"] for each in shown["judgements"]] == ["B", "A"]
    assert headrace("judgements", "show", "trail shoe").code == 0
    assert headrace("judgements", "export", "--out", "qrels").code == 0
    assert sorted(line.split()[2:] for line in (tmp_path / "qrels").read_text().splitlines()) == [
        ["A", "1"],
        ["B", "3"],
    ]


def test_judgements_are_rebuilt_by_a_new_incarnation(headrace) -> None:
    first, second = (headrace("judgements", "rebuild", "--yes") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    numbers = [int(done.out.split()[1]) for done in (first, second)]
    assert numbers[1] > numbers[0]


def model(model_id: str, **fields) -> Model:
    return Model(
        **{
            "model_id": model_id,
            "fingerprint": "a41d0c5b7e8f9021",
            "location": "/nowhere",
            "dimensions": 384,
            "verdict": "admitted",
            "reasons": ("it is better",),
            "created_at": NOW,
            **fields,
        }
    )


def test_models_are_listed_newest_first_and_shown(headrace, settings, tmp_path: Path) -> None:
    assert headrace("models", "list", "--json").json == []
    (tmp_path / "MODEL.md").write_text("# A card\n\nnDCG@10 is 0.64\n")
    newest = model("m-2", created_at=NOW.replace(hour=13), location=str(tmp_path))
    publish(settings, model("m-1"), newest)
    assert [each["model_id"] for each in headrace("models", "list", "--json").json] == ["m-2", "m-1"]
    assert headrace("models", "list").fits()
    assert "nDCG@10 is 0.64" in headrace("models", "show", "m-2").out
    assert headrace("models", "show", "m-1").json["verdict"] == "admitted", "it has no card"
    unknown = headrace("models", "show", "m-9")
    assert (unknown.code, "`headrace models list` has their ids" in unknown.error) == (2, True)


def test_jobs_are_listed(headrace, settings) -> None:
    job = TrainingJob(job_id="j1", status="running", reason="manual", base_model="", updated_at=NOW)
    publish(settings, job)
    [listed] = headrace("train", "--jobs", "--json").json
    assert (listed["job_id"], listed["status"], listed["model"]) == ("j1", "running", None)
    assert headrace("train", "--jobs").fits()


def test_without_a_rollout_the_configured_generation_is_live_and_there_is_no_way_back(headrace) -> None:
    done = headrace("rollout", "status", "--json")
    assert done.code == 0
    assert set(done.json) == {"live", "previous", "trial", "generations", "refused"}
    assert done.json["refused"] == []
    assert done.json["trial"] is None
    assert done.json["previous"] is None
    assert headrace("rollout", "status").fits()
    back = headrace("rollout", "rollback")
    assert (back.code, back.error) == (2, "there is no generation to go back to: `headrace rollout status`")


def test_shoppers_are_written_to_the_topics_with_their_truth(headrace, settings, tmp_path: Path) -> None:
    options = ("--sessions", "30", "--seed", "4", "--until", "2026-03-01T00:00:00", "--truth", "truth.json")
    done = headrace("simulate", *options, "--json")
    assert done.code == 0
    written = read(settings, SearchQuery.topic, SearchEvent.topic)
    assert done.json["messages"] == len(written)
    assert done.json["searches"] == done.json["refused"] == 0
    assert (tmp_path / "truth.json").exists()
    assert headrace("simulate", *options).code == 0
    again = read(settings, SearchQuery.topic, SearchEvent.topic)
    assert sorted(record.value for record in again) == sorted(2 * [record.value for record in written])


def test_a_data_set_of_nothing_is_empty_and_is_built_again_bit_for_bit(headrace, tmp_path: Path) -> None:
    built = headrace("dataset", "build", "--name", "d1", "--json")
    assert (built.code, built.json["name"], sum(built.json["counts"].values())) == (0, "d1", 0)
    manifest = tmp_path / ".headrace" / "datasets" / "d1" / "manifest.json"
    again = headrace("dataset", "build", "--like", str(manifest))
    assert (again.code, again.out) == (0, "d1-again is d1, bit for bit\n")
    assert headrace("dataset", "show", "d1").fits()


def row(product_id: str, lsn: int, **columns: object) -> Outgoing:
    source = {"connector": "postgresql", "name": "shop", "table": "products", "lsn": lsn}
    event = {"op": "u", "after": {"product_id": product_id, **columns}, "source": source}
    return Outgoing(ProductChange.topic, product_id.encode(), orjson.dumps(event), partition=0)


def test_a_source_is_accepted_once_from_a_time_or_from_a_change_on(headrace, settings) -> None:
    publish(settings, row("lamp", 900, title="lamp"), row("lamp", 300, title="old lamp"))
    publish(settings, row("sofa", 301, title="sofa"))
    records = read(settings, ProductChange.topic)
    accept = ("catalogue", "accept", "--source", "debezium/postgresql/", "--from")
    place = f"{ProductChange.topic}-0 @ 2"
    planned = headrace(*accept, place, "--dry-run", "--json")
    assert planned.json["source"] == "debezium/postgresql"
    assert planned.json["lines"] == {"debezium/postgresql/shop": 1}
    assert headrace("catalogue", "acceptances").lines == ["nothing was accepted"]
    first = headrace(*accept, records[0].timestamp.isoformat(), "--json").json
    assert (first["messages"], first["products"], first["older"]) == (3, 2, 1)
    assert headrace(*accept, place, "--reason", "restored").code == 0
    again = headrace(*accept, place)
    assert "was accepted before" in again.lines[0]
    listed = headrace("catalogue", "acceptances", "--json").json["acceptances"]
    assert [one["reason"] for one in listed] == ["", "restored"]
    assert [one["since"] for one in listed] == [
        records[at].timestamp.isoformat().replace("+00:00", "Z") for at in (0, 2)
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "version"), "say --source SOURCE --from TIME, or --truncate PARTITION@OFFSET"),
        (("--truncate", "yesterday"), "is no place like catalogue.changes.v1-0@17"),
        (("--source", "version", "--from", "2999-01-01T00:00:00Z"), "is in the future"),
        (("--source", "version", "--from", "2026-01-01T00:00:00"), "does not say its time zone"),
        (("--source", "version", "--from", "soon"), "is no time like 2026-01-31T12:00:00Z"),
        (("--source", "append", "--from", "2026-01-01T00:00:00Z"), "is no source"),
        (
            ("--source", "debezium/mysql/shop", "--from", "2026-01-01T00:00:00Z"),
            "nothing was ever read of 'debezium/mysql/shop'; there is debezium/postgresql/shop",
        ),
        (("--source", "version", "--from", "catalogue.changes.v1-0@9"), "ends at 1, before 10"),
        (("--truncate", "search.events.v1-0@0"), "there is no such partition of catalogue.changes.v1"),
        (("--truncate", "catalogue.changes.v1-0@0"), "it is a change of product 'lamp'"),
    ],
)
def test_what_cannot_be_accepted_is_refused_with_the_reason(headrace, settings, arguments, said) -> None:
    publish(settings, row("lamp", 900, title="lamp"))
    refused = headrace("catalogue", "accept", *arguments)
    assert refused.code == 2
    assert said in refused.error
    assert headrace("catalogue", "acceptances", "--json").json == {"acceptances": []}


def test_the_products_of_a_truncated_table_are_deleted_by_messages(headrace, settings) -> None:
    source = {"connector": "postgresql", "name": "shop", "table": "products", "lsn": 500}
    truncate = Outgoing(ProductChange.topic, None, orjson.dumps({"op": "t", "source": source}), partition=0)
    publish(settings, row("lamp", 100, title="lamp"), truncate, row("sofa", 600, title="sofa"))
    accept = ("catalogue", "accept", "--truncate", "catalogue.changes.v1-0@1")
    assert headrace(*accept, "--dry-run").lines == ["catalogue.changes.v1-0@1: 1 product to be deleted"]
    assert len(read(settings, ProductChange.topic)) == 3
    assert headrace(*accept, "--json").json == {"truncate": "catalogue.changes.v1-0@1", "products": 1}
    *_, deleted = read(settings, ProductChange.topic)
    assert (deleted.key, orjson.loads(deleted.value)["op"]) == (b"lamp", "d")
    assert "nothing of its table is left" in headrace(*accept).lines[0]
