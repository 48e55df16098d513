"""The benches of search on a small installation of their own: measured, put to a load, soaked."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.progress import Progress

from headrace.search_api import SearchClient
from services.lab.benchmarks import load_test, search, soak
from services.lab.benchmarks.harness import fresh
from services.lab.benchmarks.load_test import LoadObjective, LoadTarget
from services.lab.benchmarks.mixed_writes import WriteRates
from services.lab.benchmarks.search_engines import Kind
from services.lab.benchmarks.search_material import IndexedProducts, questions
from services.lab.benchmarks.search_opensearch import HOME, node
from services.lab.simulation import shop
from services.lab.simulation.catalogue import GradedCatalogue
from shared.infrastructure.stack import Stack
from shared.testing.encoder import FakeEncoder
from tests.command_line import finish
from tests.connected.killing import until

QUIET = Progress(disable=True)
KINDS: tuple[Kind, ...] = ("hybrid", "lexical", "dense", "filtered 10 %", "filtered 1 %")
HOUR_MS = 3_600_000.0


@pytest.fixture(scope="module")
def some() -> GradedCatalogue:
    """Give a part of the sample shop."""
    catalogue = shop.sample()
    return replace(catalogue, products=catalogue.products[:300], queries=catalogue.queries[:10])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run what a soak runs, which is more than the others need."""
    with fresh(soak.WORKERS, None) as started:
        yield started


def test_an_installation_is_asked_in_every_way_also_with_copies(stack, some, monkeypatch):
    for name, value in {"KNOWN": 20, "NEW": 10, "OTHERS": 10, "WARM_SECONDS": 0.1}.items():
        monkeypatch.setattr(search, name, value)
    indexed, asked, figures = search.measure(stack, some, products=350, seconds=0.5, progress=QUIET)
    assert len(indexed.ids) == 350
    assert len(figures.known.latencies) == 20
    assert len(figures.new.latencies) == 10
    assert figures.recall == pytest.approx(1, abs=0.01)
    assert figures.cpu_ms > 0
    assert {row.name for row in search.rows(figures, None, [], 350)} >= set(search.GOALS)
    assert len(asked.known) == 10


def test_a_load_is_answered_and_price_changes_are_seen_and_their_products_gone_again(stack):
    objective = LoadObjective(rate=20, seconds=2, p99=HOUR_MS, changes=2)
    target = LoadTarget(stack.settings, stack.url("search"), ["lamp", "sofa"], log=True)
    result, observations = load_test.measure(target, objective, progress=QUIET)
    assert load_test.broken(result, observations, objective) == []
    assert len(result.latencies) > 10
    assert observations
    with SearchClient(stack.url("search")) as client:
        until(lambda: not _own(client))


def _own(client: SearchClient) -> list[str]:
    """Return the products of a load test that are there."""
    hits = client.search("headrace-bench", mode="lexical", log=False).hits
    return [hit.product_id for hit in hits if hit.product_id.startswith("headrace-bench")]


def test_the_command_says_by_its_exit_code_whether_the_objective_was_met(stack, capsys, tmp_path):
    queries = tmp_path / "queries"
    queries.write_text("lamp\n\nsofa\n")
    asked = ["bench", "search", "--url", stack.url("search"), "--rate", "20", "--minutes", "0.05", "--json"]
    usual = [*asked, "--changes", "0", "--queries", str(queries)]
    met = finish(capsys, *usual, "--p99", str(HOUR_MS))
    missed = finish(capsys, *usual, "--p99", "0.001")
    assert (met.code, missed.code) == (0, 1)
    report = json.loads(missed.out)
    assert report["name"] == "search load"
    assert "more than 0.001" in report["verdict"][0]


def test_a_soak_ends_with_every_product_as_it_was_written_last(stack, some):
    rates = WriteRates(upserts=5, prices=20, deletes=2, clicks=2)
    seen = soak.measure(stack, some, seconds=6, rate=10, rates=rates, progress=QUIET)
    assert (seen.wrong, seen.unseen, seen.refused, seen.dead) == ([], 0, 0, [])
    assert seen.whole().failed == 0
    assert all(seen.written.values())
    assert {*seen.memory[-1][1]} == {*soak.WORKERS, "valkey"}
    assert next(row.name for row in soak.minute_rows(seen)) == "minute 1, search p50"


@pytest.mark.skipif(not os.environ.get(HOME), reason=f"{HOME} names no OpenSearch")
def test_opensearch_answers_what_it_is_asked_beside_ours(some):
    encoder = FakeEncoder(16)
    products = IndexedProducts(
        [product.id for product in some.products],
        [product.fields() for product in some.products],
        encoder.encode_documents([product.title for product in some.products]),
    )
    asked = questions(some, products, encoder)
    with node(Path(os.environ[HOME])) as engine:
        engine.fill(products, asked, QUIET)
        found = {kind: engine.ids(engine.known(0, kind)) for kind in KINDS}
        assert engine.cpu()["OpenSearch"] > 0
    nearest = (-products.vectors @ asked.vectors[0]).argsort()[:10]
    assert {*found["dense"]} == {products.ids[row] for row in nearest}
    assert found["hybrid"]
    prices = {product.id: product.price or 0 for product in some.products}
    assert all(prices[name] < asked.cheaper[0.1] for name in found["filtered 10 %"])
