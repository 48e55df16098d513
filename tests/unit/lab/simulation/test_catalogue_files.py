"""A shop as files: what is saved is what is loaded, and a line that cannot be used is named."""

import gzip
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.simulation import catalogue
from services.lab.simulation.catalogue import GradedCatalogue, ShopProduct, ShopQuery
from shared.errors import ConfigurationError

NOW = datetime(2026, 11, 20, tzinfo=UTC)
WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
PRODUCTS = st.lists(
    st.builds(
        ShopProduct,
        id=st.text("abcdef0123456789", min_size=1, max_size=8),
        title=WORDS,
        brand=WORDS | st.just(""),
        category=st.lists(WORDS, max_size=3).map(tuple),
        price=st.none() | st.floats(0, 1e6),
        stock=st.none() | st.integers(0, 1000),
    ),
    max_size=6,
    unique_by=lambda product: product.id,
)


@given(PRODUCTS, st.lists(WORDS, max_size=4, unique=True), st.randoms(use_true_random=False))
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, products, texts, rng) -> None:
    queries = tuple(ShopQuery(f"q{number}", text) for number, text in enumerate(texts))
    grades = {query.id: {product.id: rng.randint(0, 3) for product in products} for query in queries}
    saved = GradedCatalogue(tuple(products), queries, grades)
    directory = tmp_path_factory.mktemp("shop")
    catalogue.save(saved, directory)
    assert catalogue.load(directory) == saved


@given(PRODUCTS)
def test_a_change_writes_what_the_product_has_and_nothing_empty(products) -> None:
    for product in products:
        change = product.change(7, NOW)
        assert (change.product_id, change.op, change.version) == (product.id, "upsert", 7)
        assert all(value not in (None, "", ()) for value in change.fields.values())
        assert change.fields["title"] == product.title
        assert "id" not in change.fields


@pytest.fixture
def directory(tmp_path):
    shop = GradedCatalogue((ShopProduct(id="a", title="Lamp"),), (ShopQuery("q1", "lamp"),), {"q1": {"a": 3}})
    catalogue.save(shop, tmp_path)
    return tmp_path


def test_plain_lines_are_read_too(directory) -> None:
    packed = directory / "docs.jsonl.gz"
    before = catalogue.load(directory)
    (directory / "docs.jsonl").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert catalogue.load(directory) == before


def test_a_field_that_is_not_known_is_ignored(directory) -> None:
    (directory / "docs.jsonl.gz").unlink()
    (directory / "docs.jsonl").write_text('{"id": "a", "title": "Lamp", "weight": 3}\n')
    assert catalogue.load(directory).products == (ShopProduct(id="a", title="Lamp"),)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"id": "a"}', "line 1: title: Field required"),
        ('{"id": "a", "title": "x", "price": -1}', "line 1: price"),
        ('{"id": "a", "title": "x", "price": NaN}', "line 1"),
        ("{", "line 1: the line: "),
        ('{"id": "a\\u0000b", "title": "x"}', "line 1: id"),
    ],
)
def test_a_product_that_cannot_be_used_is_named_with_its_field(directory, line, complaint) -> None:
    (directory / "docs.jsonl.gz").unlink()
    (directory / "docs.jsonl").write_text(line + "\n")
    with pytest.raises(ConfigurationError) as refused:
        catalogue.load(directory)
    assert complaint in str(refused.value)


def test_a_grade_of_a_query_that_is_not_asked_is_kept(directory) -> None:
    (directory / "qrels.tsv").write_text("q1\ta\t3\nq9\ta\t2\n")
    assert catalogue.load(directory).grade("q9", "a") == 2


def test_a_quote_in_a_query_is_a_character(directory) -> None:
    (directory / "queries.tsv").write_text('q1\t19" rack\n')
    assert catalogue.load(directory).queries == (ShopQuery("q1", '19" rack'),)
