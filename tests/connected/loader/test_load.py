"""`headrace load` on a real broker: killed and gone on, newer and older, and what is gone of a source."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import Document, ProductChange
from schemas.loads import LOAD_HEADER, CatalogueLoad
from services.loader.domain.columns import FieldMapping, Mapped
from services.loader.domain.products import ProductReader
from services.loader.domain.rows import FileRow
from shared.catalogue.changes import ChangeReader
from shared.catalogue.documents import merge
from shared.infrastructure.topics import apply
from shared.kafka.compacted import read_items, read_once
from shared.kafka.topic_reader import TopicReader
from shared.records import Outgoing, Record
from shared.settings import Settings
from tests.command_line import TERMINAL
from tests.connected.publishing import publish

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
MANY = 60_000
Fields = dict[str, Any]  # Any: JSON


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    embedded = bool(os.environ.get("HEADRACE_KAFKA_EMBEDDED"))
    settings = Settings(
        kafka=kafka,
        kafka_embedded=embedded,
        topic_prefix=topic_prefix,
        partitions=2,
        data_dir=tmp_path / "data",
    )
    asyncio.run(apply(settings))
    return settings


def started(settings: Settings, *arguments: str, machine: str = "data") -> subprocess.Popen[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    own = {
        "HEADRACE_KAFKA": settings.kafka,
        "HEADRACE_KAFKA_EMBEDDED": str(settings.kafka_embedded).lower(),
        "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
        "HEADRACE_DATA_DIR": str(settings.data_dir.with_name(machine)),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "load", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**others, **TERMINAL, **own},
    )


def loaded(settings: Settings, *arguments: str, machine: str = "data", code: int = 0) -> dict[str, Any]:
    """Run a load to its end, and return what it said."""
    process = started(settings, *arguments, "--json", machine=machine)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return {"err": err, **json.loads(out or "{}")}


def write(path: Path, products: Mapping[str, Fields]) -> Path:
    path.write_text("".join(json.dumps({"id": key, **fields}) + "\n" for key, fields in products.items()))
    return path


async def records(settings: Settings) -> list[Record]:
    async with TopicReader(settings, [ProductChange.topic]) as reader:
        return [record async for record in reader.news()]


def catalogue(records: Iterable[Record]) -> dict[str, Fields]:
    """Return what the products are by the changes in the topic, whatever their order."""
    changes, documents = ChangeReader(), dict[str, Document]()
    for record in records:
        change = changes.read(record).change
        documents[change.product_id] = merge(documents.get(change.product_id, Document()), change).document
    return {key: dict(document.fields) for key, document in documents.items() if document.exists}


def test_a_load_that_is_killed_goes_on_and_nothing_is_missing(settings: Settings, tmp_path: Path) -> None:
    products = {f"P-{n}": {"title": f"product {n}", "price": n / 100} for n in range(MANY)}
    file = write(tmp_path / "products.jsonl", products)
    process = started(settings, str(file))

    async def written() -> int:
        async with TopicReader(settings, [ProductChange.topic]) as reader:
            while process.poll() is None and sum((await reader.find_ends()).values()) < MANY // 10:
                continue
            return sum((await reader.find_ends()).values())

    assert asyncio.run(written()) >= MANY // 10
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    before = len(asyncio.run(records(settings)))
    assert before < MANY
    report = loaded(settings, str(file))
    assert report["loaded"] == MANY
    after = asyncio.run(records(settings))
    assert MANY <= len(after) < MANY + before  # it did not begin anew
    assert catalogue(after) == products
    assert {record.header(LOAD_HEADER) for record in after} == {report["load_id"].encode()}


def test_a_later_load_counts_and_an_older_one_that_was_stopped_does_not_go_on(
    settings: Settings, tmp_path: Path
) -> None:
    old = {f"P-{n}": {"title": "old", "price": 1} for n in range(100)}
    new = {key: {"title": "new", "price": 2} for key in old}
    first = loaded(settings, str(write(tmp_path / "shop.jsonl", old)))
    [state] = (settings.data_dir / "loads").glob("*.json")
    stopped = {**json.loads(state.read_text()), "done": 0, "finished": False}
    second = loaded(settings, str(write(tmp_path / "new.jsonl", new)), "--source", "shop")
    assert catalogue(asyncio.run(records(settings))) == new
    reader = ProductReader(FieldMapping("id", {"title": Mapped("title", "title")}), first["began_at"])
    late = [reader.read(FileRow(1, {"id": key, **fields})).value for key, fields in old.items()]
    publish(
        settings,
        [Outgoing(ProductChange.topic, key.encode(), value) for key, value in zip(old, late, strict=True)],
    )
    assert catalogue(asyncio.run(records(settings))) == new
    state.write_text(json.dumps(stopped))
    refused = loaded(settings, str(tmp_path / "shop.jsonl"), code=2)
    assert f"a later one began at {second['began_at'][:19].replace('T', ' ')}" in refused["err"]
    assert loaded(settings, str(tmp_path / "shop.jsonl"), "--restart")["loaded"] == 100
    assert catalogue(asyncio.run(records(settings))) == old


def test_what_a_source_has_no_longer_is_deleted_from_any_machine(settings: Settings, tmp_path: Path) -> None:
    shop = {f"P-{n}": {"title": f"product {n}"} for n in range(100)}
    other = {"O-1": {"title": "of another source"}}
    file = tmp_path / "feed.jsonl"
    loaded(settings, str(write(file, shop)), "--source", "feed")
    loaded(settings, str(write(tmp_path / "other.jsonl", other)))

    tonight = dict(list(shop.items())[5:]) | {"N-1": {"title": "new"}}
    report = loaded(settings, str(write(file, tonight)), "--replace", "feed", machine="another")
    assert (report["replaced"]["before"], report["replaced"]["missing"]) == (100, 5)
    assert catalogue(asyncio.run(records(settings))) == tonight | other

    half = dict(list(tonight.items())[40:])
    refused = loaded(settings, str(write(file, half)), "--replace", "feed", code=1)
    assert (refused["replaced"]["missing"], refused["replaced"]["refused"]) == (40, True)
    assert catalogue(asyncio.run(records(settings))) == tonight | other
    said = loaded(settings, str(file), "--replace", "feed", "--yes")
    assert (said["load_id"], said["published"]) == (refused["load_id"], 0)  # its lines were written already
    assert catalogue(asyncio.run(records(settings))) == half | other
    manifests = asyncio.run(read_once(settings, CatalogueLoad.topic)).items.values()
    loads = {load.source: load for load in read_items(CatalogueLoad, manifests)}
    assert len(manifests) == 2
    assert (loads["feed"].load_id, loads["feed"].products, loads["feed"].deleted) == (said["load_id"], 56, 40)


def test_a_product_whose_line_is_bad_stays_as_it_was(settings: Settings, tmp_path: Path) -> None:
    shop = {f"P-{n}": {"title": f"product {n}"} for n in range(50)}
    file = write(tmp_path / "feed.jsonl", shop)
    loaded(settings, str(file), "--replace", "feed")
    for_a_night = {key: fields for key, fields in shop.items() if key != "P-0"}
    write(file, for_a_night)
    with file.open("a") as lines:
        lines.write('{"id":"P-0"}\n')
    assert loaded(settings, str(file), "--replace", "feed", code=3)["replaced"]["missing"] == 0
    assert catalogue(asyncio.run(records(settings))) == shop
    write(file, for_a_night)
    assert loaded(settings, str(file), "--replace", "feed")["replaced"]["missing"] == 1
    assert catalogue(asyncio.run(records(settings))) == for_a_night
    write(file, dict(list(for_a_night.items())[1:]))
    with file.open("a") as lines:
        lines.write("{\n")
    refused = loaded(settings, str(file), "--replace", "feed", code=1)["replaced"]
    assert (refused["missing"], refused["nameless"], refused["refused"]) == (1, 1, True)
