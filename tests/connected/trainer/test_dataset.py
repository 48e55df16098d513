"""Data sets are built from a real broker's topics, and built again from their manifests."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.catalogue import Acceptance, ProductChange
from schemas.control import OffsetRange
from schemas.judgements import Judgement, Negative
from services.trainer.dataset import build as datasets
from services.trainer.dataset.settings import DatasetSettings
from services.trainer.dataset.sources import parse_ranges
from shared.errors import ConfigurationError
from shared.infrastructure.topics import apply, diff
from shared.kafka.topic_reader import TopicReader
from shared.records import Outgoing, Record
from tests.connected.trainer.shop import NOW, QUERIES, judged, send, shop
from tests.unit.trainer.tiny import blind_model, knowing_model

pytestmark = pytest.mark.connected


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> DatasetSettings:
    settings = DatasetSettings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, data_dir=tmp_path)
    asyncio.run(apply(settings))
    return settings


def command(settings: DatasetSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return headrace(settings, "dataset", *arguments)


def headrace(settings: DatasetSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    chosen = {
        "HEADRACE_KAFKA": settings.kafka,
        "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
        "HEADRACE_DATA_DIR": str(settings.data_dir),
    }
    program = [sys.executable, "-m", "services.cli.main", *arguments, "--json"]
    return subprocess.run(program, capture_output=True, text=True, check=False, env={**os.environ, **chosen})


def test_a_data_set_is_built_shown_and_built_again_bit_for_bit_although_the_topics_went_on(settings):
    send(settings, shop())
    built = command(settings, "build", "--name", "d1")
    assert built.returncode == 0, built.stderr
    told = json.loads(built.stdout)
    assert sum(told["counts"].values()) > 50
    assert told["records"][Judgement.topic] == 144
    assert json.loads(command(settings, "show", "d1").stdout) == told

    gone = Outgoing(Judgement.topic, judged(QUERIES[0], "p0").key(), None)
    rewritten = [judged(query, f"p{number}", grade=0.1) for query in QUERIES for number in range(9)]
    renamed = ProductChange(
        product_id="p1", op="upsert", version=2, event_time=NOW, fields={"title": "another thing"}
    )
    send(settings, [gone, *rewritten, renamed, Outgoing(Judgement.topic, b"a\tb", b"not json")])
    again = command(settings, "build", "--like", str(settings.data_dir / "datasets" / "d1" / "manifest.json"))
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {"name": "d1-again", "like": "d1", "same": True, "differences": []}

    late = json.loads(command(settings, "build", "--name", "d2").stdout)
    assert late["files"] != told["files"]
    assert late["removed"]["unreadable"] == 1
    assert command(settings, "build", "--name", "d2").returncode == 2  # it is there already


def test_two_models_are_judged_by_what_the_topics_hold_and_the_data_set_is_kept(settings, tmp_path):
    send(settings, shop())
    models = [str(make(tmp_path / make.__name__)) for make in (knowing_model, blind_model)]
    for _ in range(2):
        judged_by = headrace(settings, "evaluate", "--model", models[0], "--against", models[1])
        assert judged_by.returncode == 0, judged_by.stderr
        report = json.loads(judged_by.stdout)
        assert "shown@10 at hybrid" in {row["name"] for row in report["rows"]}
        assert report["verdict"][0].startswith("undecided: ")
    (kept,) = (settings.data_dir / "datasets").iterdir()
    assert json.loads(command(settings, "show", kept.name).stdout)["records"][Judgement.topic] == 144


def test_what_is_not_built_again_bit_for_bit_is_told_and_why(settings):
    send(settings, shop())
    assert command(settings, "build", "--name", "d1").returncode == 0
    path = settings.data_dir / "datasets" / "d1" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["pairs.jsonl"] = "0" * 64
    manifest["records"][Judgement.topic] += 7
    path.write_text(json.dumps(manifest))
    again = command(settings, "build", "--like", str(path))
    assert again.returncode == 1
    assert json.loads(again.stdout)["differences"] == [
        f"pairs.jsonl differs: 7 messages of {Judgement.topic} are compacted away"
    ]
    shown = command(settings, "show", "d1")
    assert shown.returncode == 1
    assert "pairs.jsonl is not what was written" in shown.stderr


def test_a_manifest_whose_files_differ_is_told_and_why(settings):
    send(settings, shop())
    origin = asyncio.run(datasets.present_inputs(settings))
    whole = asyncio.run(datasets.build(settings, origin)).manifest
    # What a compaction would leave: the same range, with fewer messages in it.
    ranges = tuple(
        it.model_copy(update={"start": it.end // 2}) if it.topic == Judgement.topic else it
        for it in origin.ranges
    )
    part = asyncio.run(
        datasets.build(
            settings, datasets.DatasetInputs.of(whole.model_copy(update={"ranges": ranges}), code_version="")
        )
    )
    before = whole.model_copy(update={"files": {"pairs.jsonl": "0" * 64}})
    found = datasets.differences(before, part.manifest)
    assert len(found) == 1
    assert found[0].startswith("pairs.jsonl differs: ")
    assert found[0].endswith(f"messages of {Judgement.topic} are compacted away")


def test_only_the_judgements_that_are_named_go_in(settings):
    send(settings, shop())
    origin = asyncio.run(datasets.present_inputs(settings, judgements=parse_ranges(["0:0-10", "1:5-8"])))
    found = asyncio.run(datasets.build(settings, origin, name="part"))
    assert found.manifest.records[Judgement.topic] == 13
    beyond = (OffsetRange(topic=Judgement.topic, partition=0, start=0, end=10**6),)
    with pytest.raises(ConfigurationError, match="ends at"):
        asyncio.run(datasets.build(settings, replace(origin, ranges=beyond)))
    with pytest.raises(ConfigurationError, match="partition:start-end"):
        parse_ranges(["0:9-3"])


def test_judgements_and_negatives_are_not_compacted_for_a_week(settings):
    found = {it.wanted.name: it for it in asyncio.run(diff(settings))}
    for topic in (Judgement.topic, Negative.topic):
        it = found[settings.topic_prefix + topic]
        assert it.wanted.config["min.compaction.lag.ms"] == str(7 * 24 * 3600 * 1000)
        assert it.action == "unchanged"


def test_a_source_that_went_back_counts_in_the_data_sets_that_name_its_acceptance(settings):
    """One that was built before is built again as it was."""

    async def last_change() -> Record:
        async with TopicReader(settings, [ProductChange.topic]) as reader:
            return max([record async for record in reader.news()], key=lambda record: record.timestamp)

    def titles(inputs: datasets.DatasetInputs) -> set[str]:
        return {product.text for product in asyncio.run(datasets.build(settings, inputs)).products}

    send(settings, shop())
    send(
        settings,
        [
            ProductChange(
                product_id="p1", op="upsert", version=0, event_time=NOW, fields={"title": "restored"}
            )
        ],
    )
    before = asyncio.run(datasets.present_inputs(settings))
    since = asyncio.run(last_change()).timestamp
    send(settings, [Acceptance(source="version", since=since, requested_at=since)])
    assert "restored" in titles(asyncio.run(datasets.present_inputs(settings)))
    assert "restored" not in titles(before)
    of_before = tuple(part for part in before.ranges if part.topic != Acceptance.topic)
    assert titles(replace(before, ranges=of_before)) == titles(before), "data sets of before name none"
