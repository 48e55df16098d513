"""Loading a catalogue and watching changes: quantiles, rows, and probes of one product's life."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.embedder.settings import EmbedderSettings
from services.lab.arrival import is_written
from services.lab.benchmarks.embedding import passages
from services.lab.benchmarks.freshness import GOALS, Ages
from services.lab.benchmarks.ingest import WARM, _renamed, more_products, upserts
from services.lab.benchmarks.loading import Loaded, quantile
from services.lab.simulation.catalogue import ShopProduct
from shared.testing.encoder import FakeEncoder
from tests.unit.lab.answers import product_answer, revisions

NOW = datetime(2026, 11, 20, tzinfo=UTC)
seconds = st.lists(st.floats(0, 100), min_size=1, max_size=50)


@given(seconds, st.floats(0, 1))
def test_a_quantile_is_one_of_the_values_and_that_share_lies_below_it(values, share) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


@given(seconds)
def test_quantiles_grow_from_the_least_to_the_greatest(values) -> None:
    assert quantile(values, 0) == min(values)
    assert quantile(values, 1) == max(values)
    assert quantile(values, 0.5) <= quantile(values, 0.99)


def test_the_quantile_of_nothing_is_nothing() -> None:
    assert quantile([], 0.5) == 0.0


def test_what_was_there_already_was_not_loaded() -> None:
    assert Loaded(100, 0.0, 3).rows() == []


def test_a_load_says_its_speed_and_the_freshness_of_the_worst_shard() -> None:
    table = {row.name: row.value for row in Loaded(100, 4.0, 0, (0.5, 1.5)).rows()}
    assert table == {"documents": 25.0, "load freshness p50": 0.5, "load freshness p99": 1.5}
    assert [row.name for row in Loaded(100, 4.0, 0).rows()] == ["documents"]


@pytest.mark.parametrize(
    ("product", "seen"),
    [
        (None, False),
        (product_answer("p", revisions=()), False),
        (product_answer("p", revisions=revisions(6)), False),
        (product_answer("p", revisions=revisions(6, 7)), True),
        (product_answer("p", revisions=revisions(8)), True),
    ],
)
def test_a_product_was_written_when_a_revision_has_the_version(product, seen) -> None:
    assert is_written(product, 7) is seen


def test_ages_are_held_against_the_goals_in_milliseconds() -> None:
    ages = Ages()
    ages.seconds["freshness"] += [0.1, 0.2, 0.3]
    ages.seconds["delete"] += [0.6]
    table = {row.name: row for row in ages.rows(" at half load")}
    assert len(table) == 2 * len(GOALS)
    assert table["freshness at half load p50"].value == pytest.approx(200)
    assert table["freshness at half load p50"].bound == 150
    assert table["delete at half load p99"].ratio == pytest.approx(2)
    assert table["delete at half load p50"].bound is None


@given(st.integers(1, 5), st.integers(0, 20))
def test_a_load_is_of_new_products_with_texts_of_their_own(size: int, count: int) -> None:
    products = [ShopProduct(id=f"P{number}", title=f"lamp {number}") for number in range(size)]
    load = more_products(products, count)
    assert len({product.id for product in load}) == len({product.title for product in load}) == count
    assert not {product.id for product in load} & {product.id for product in products}
    assert [product.title.rpartition(" ")[0] for product in load[:size]] == [
        p.title for p in products[:count]
    ]


def test_the_warm_up_touches_none_of_the_products() -> None:
    product = ShopProduct(id="P" * 128, title="Lamp")
    warm = _renamed(product)
    assert warm.id != product.id
    assert len(warm.id) <= 128
    assert warm.title != product.title
    assert WARM > 0


def test_an_upsert_writes_a_product_whole() -> None:
    [change] = upserts([ShopProduct(id="a", title="Lamp", price=3.0, brand="")], 7)
    assert (change.op, change.version, change.fields) == ("upsert", 7, {"title": "Lamp", "price": 3.0})


def test_the_texts_of_a_bound_are_those_that_the_embedder_would_embed() -> None:
    short, long = ShopProduct(id="a", title="Lamp"), ShopProduct(id="b", title="lamp " * 2000)
    texts = passages([short, long], EmbedderSettings(), FakeEncoder())
    assert texts[0] == "Lamp"
    assert len(texts) > 2, "a long text has several passages"
    assert all(texts)
