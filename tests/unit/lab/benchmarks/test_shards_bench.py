"""The shard bench's log of records, and its rows."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.index import IndexRecord
from services.lab.benchmarks.shards import ApplyTiming, TimedSearches, _timed, recall, rows
from services.lab.benchmarks.vectors import alive, life, name_of, perturbed, records
from services.lab.simulation import shop
from shared.testing.encoder import FakeEncoder

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SALE = shop.sample(size=200, queries=8)


def searches(*seconds: float) -> TimedSearches:
    return TimedSearches(list(seconds), [[] for _ in seconds])


def by_name(**fields):
    made = {
        "applied": ApplyTiming(1000, 2.0, 1.6, 0.4),
        "worded": ApplyTiming(600, 1.0, 0.2, 0.1),
        "flat_rate": 2000.0,
        "dense": searches(0.001, 0.002, 0.003),
        "hybrid": searches(0.004),
        "under_writes": searches(0.005),
        "flat_times": searches(0.001),
        **fields,
    }
    return {row.name: row for row in rows(**made)}


def test_upserts_are_held_against_adding_alone() -> None:
    table = by_name()
    assert (table["upserts"].value, table["upserts"].bound) == (500, 2000)
    assert table["upserts per CPU-second"].value == 625
    assert "decoding 0.4 of 1.6 CPU-seconds" in table["upserts"].note


def test_searches_are_held_against_a_flat_scan() -> None:
    table = by_name()
    assert table["search p50"].value == pytest.approx(2)
    assert table["search p50"].ratio == pytest.approx(2)
    assert table["search p99"].value == pytest.approx(3)
    assert table["hybrid search p50"].bound is None


def test_the_names_that_must_stay_are_there() -> None:
    assert {"upserts", "upserts with 200 words", "search p50", "search p99"} <= by_name().keys()
    assert by_name()["upserts with 200 words"].value == pytest.approx(3000)


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), min_size=1, max_size=6))
def test_recall_is_1_for_the_truth_and_0_for_something_else(truth) -> None:
    named = [[str(each) for each in answer] for answer in truth]
    assert recall(named, named) == 1
    assert recall(named, [[f"other {each}" for each in answer] for answer in named]) == 0


def test_queries_are_asked_in_turn() -> None:
    asked = []

    def ask(number: int) -> list[str]:
        asked.append(number)
        return [str(number)]

    timed = _timed(ask, 3, 7)
    assert asked == [0, 1, 2, 0, 1, 2, 0]
    assert timed.answers[6] == ["0"]
    assert len(timed.seconds) == 7


@given(st.integers(20, 200), st.integers(0, 9))
def test_the_log_says_what_lives_in_the_end(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    history = life(count, overwrites=0.1, deletes=0.05, rng=rng)
    living = alive(history)
    deleted = {written.product for written in history if written.row is None}
    assert living.keys() == set(range(count)) - deleted
    assert len(deleted) == int(count * 0.05)


def test_the_records_are_those_of_an_embedder() -> None:
    rng, encoder = np.random.default_rng(1), FakeEncoder(8)
    history = life(40, overwrites=0.1, deletes=0.1, rng=rng)
    vectors = perturbed(encoder.encode_documents([p.title for p in SALE.products[:40]]), 44, rng)
    made = list(records(history, vectors, SALE.products[:40], encoder, NOW))
    assert [record.offset for record in made] == list(range(len(history)))
    for record, written in zip(made, history, strict=True):
        message = IndexRecord.decode(record.value or b"")
        assert (message.product_id, message.fingerprint) == (name_of(written.product), encoder.fingerprint)
        assert message.document.exists is (written.row is not None)
        assert bool(message.vectors) is (written.row is not None)
        if written.row is not None:
            stored = np.frombuffer(message.vectors, "<f2").astype(np.float32)
            assert stored == pytest.approx(vectors[written.row], abs=1e-3)
