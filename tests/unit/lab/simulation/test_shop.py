"""The sample shop: reproducible, varied, and graded by attributes."""

from collections import Counter

import pytest

from services.lab.simulation import catalogue, shop
from services.lab.simulation.catalogue import COMPLEMENT, EXACT, IRRELEVANT, SUBSTITUTE
from shared.errors import ConfigurationError


@pytest.fixture(scope="module")
def sample():
    return shop.sample()


def test_the_same_seed_makes_the_same_shop(sample):
    assert shop.sample() == sample
    assert shop.sample(seed=2) != sample


def test_the_shop_has_the_size_asked_for_and_every_kind(sample):
    assert len(sample.products) == 3000
    assert len({product.id for product in sample.products}) == 3000
    assert len({product.category for product in sample.products}) == len(shop.grammar().kinds)


def test_products_are_told_apart_by_their_titles(sample):
    titles = Counter(product.title for product in sample.products)
    assert len(titles) > 0.95 * len(sample.products)


def test_texts_are_whole_words_without_leftover_slots(sample):
    for product in sample.products:
        assert "{" not in product.title + product.description + product.bullets
        assert product.price is not None
        assert product.price > 0


def test_every_query_has_an_exact_product_and_one_to_look_past(sample):
    assert len(sample.queries) == len({query.text for query in sample.queries}) == 120
    for query in sample.queries:
        grades = set(sample.grades[query.id].values())
        assert EXACT in grades
        assert IRRELEVANT in grades


def test_some_queries_share_no_kind_word_with_their_products(sample):
    words = {product.id: product.title.lower() for product in sample.products}
    settee = next(query for query in sample.queries if "settee" in query.text)
    exact = [product for product, grade in sample.grades[settee.id].items() if grade == EXACT]
    assert exact
    assert not any("settee" in words[product] for product in exact)


@pytest.mark.parametrize(
    ("kind", "color", "expected"),
    [
        ("sofa", "teal", EXACT),
        ("sofa", "grey", SUBSTITUTE),
        ("armchair", "teal", SUBSTITUTE),
        ("armchair", "grey", IRRELEVANT),
        ("cushion", "grey", COMPLEMENT),
        ("hose", "teal", IRRELEVANT),
    ],
)
def test_grades_follow_from_kind_and_attributes(sample, kind, color, expected):
    wish = shop.Wish("sofa", {"color": "teal"})
    article = shop.Article(sample.products[0], kind, {"color": frozenset({color})})
    assert shop.grade(shop.grammar(), wish, article) == expected


def test_a_product_that_misses_two_wishes_is_irrelevant(sample):
    wish = shop.Wish("sofa", {"color": "teal", "material": "velvet"})
    article = shop.Article(
        sample.products[0], "sofa", {"color": frozenset({"grey"}), "material": frozenset({"linen"})}
    )
    assert shop.grade(shop.grammar(), wish, article) == IRRELEVANT


def test_what_kinds_refer_to_exists():
    rules = shop.grammar()
    for kind in rules.kinds.values():
        assert kind.department in rules.departments
        assert rules.features.keys() >= set(kind.features)
        assert rules.kinds.keys() >= {*kind.substitutes, *kind.complements}


def test_a_shop_saved_is_the_shop_loaded(sample, tmp_path):
    catalogue.save(sample, tmp_path)
    assert catalogue.load(tmp_path) == sample


def test_a_broken_line_is_named(sample, tmp_path):
    catalogue.save(sample, tmp_path)
    (tmp_path / "docs.jsonl.gz").unlink()
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "title": "A"}\n{"id": "b"}\n')
    with pytest.raises(ConfigurationError, match=r"docs\.jsonl, line 2: title"):
        catalogue.load(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"queries\.tsv is missing"):
        catalogue.load(tmp_path)
