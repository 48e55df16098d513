"""Grades in any usual form; one that is none, or beyond the best, is refused by name, or scaled."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.simulation import catalogue
from services.lab.simulation.catalogue import GradedCatalogue, ShopProduct, ShopQuery
from services.lab.simulation.grading import NAMED_GAINS, read_gains, read_grade
from services.lab.simulation.shoppers import ClickModel
from shared.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "grade"),
    [("3", 3), ("3.0", 3), ("3,0", 3), ("0.00", 0), (" 2 ", 2), ("+1", 1), ("03", 3), ("-0", 0)],
)
def test_a_grade_is_a_number_in_any_usual_form(text: str, grade: int) -> None:
    assert read_grade(text) == grade


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("5", "0 to 3, not 5: evaluate, simulate and demo take --highest-grade 5"),
        ("3.5", "0 to 3, not 3.5"),
        ("-1", "0 to 3, not -1"),
        ("abc", "a number, not 'abc'"),
        ("", "a number, not ''"),
        ("1,5", "whole, not 1,5: evaluate, simulate and demo take --highest-grade 3"),
        ("nan", "a number"),
        ("inf", "a number"),
        ("1 EUR", "a number"),
        ("1e999", "a number"),
        ("9" * 400, "a number"),
    ],
)
def test_what_is_none_is_refused_by_name(text: str, explanation: str) -> None:
    with pytest.raises(ValueError, match=r"^a grade is ") as refused:
        read_grade(text)
    assert explanation in str(refused.value)


@pytest.mark.parametrize(
    ("text", "highest", "grade"),
    [("5", 5, 3), ("4", 5, 2), ("1,5", 5, 1), ("0", 5, 0), ("0.4", 1, 1), ("2.5", 3, 3), ("100", 100, 3)],
)
def test_a_longer_scale_is_scaled(text: str, highest: float, grade: int) -> None:
    assert read_grade(text, highest) == grade


@given(st.floats(0, 1e6), st.floats(1, 1e6))
def test_what_is_scaled_is_a_grade_of_the_shoppers(stated: float, highest: float) -> None:
    grade = read_grade(f"{min(stated, highest):.6f}", highest + 1e-6)
    assert 0 <= ClickModel().appeal_of(grade, "pair") <= 1


def test_gains_are_a_name_or_three_numbers() -> None:
    assert read_gains("exp2") == {1: 1, 2: 3, 3: 7}
    assert read_gains("linear") == {1: 1, 2: 2, 3: 3}
    assert read_gains("1,3,7") == read_gains("1 3 7") == NAMED_GAINS["exp2"]
    assert read_gains("0.1 0.25 1") == {1: 10, 2: 25, 3: 100}
    assert read_gains("0,0,1") == {1: 0, 2: 0, 3: 1}
    for text in ("", "exp", "1,2", "1,2,3,4", "3,2,1", "0,0,0", "-1,0,1", "a,b,c"):
        with pytest.raises(ConfigurationError, match="exp2, linear"):
            read_gains(text)


def written(directory: Path, qrels: str, prices: Mapping[str, object] = {}) -> Path:
    shop = GradedCatalogue((ShopProduct(id="a", title="Lamp"),), (ShopQuery("q1", "lamp"),), {})
    catalogue.save(shop, directory)
    (directory / "qrels.tsv").write_text(qrels)
    return directory


def test_the_file_and_the_line_of_a_grade_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"qrels.tsv, line 2: a grade is 0 to 3, not 5"):
        catalogue.load(written(tmp_path, "q1\ta\t3.0\nq1\tb\t5\n"))
    assert catalogue.load(tmp_path, 5).grades == {"q1": {"a": 2, "b": 3}}


def test_a_graded_product_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    shop = catalogue.load(written(tmp_path, "q1\tgone\t3\nq9\ta\t1\n"))
    assert catalogue.queries_beyond_words(shop, 3) == [ShopQuery("q1", "lamp")]
    assert catalogue.relevant_to(shop) == {"q1"}


def test_grades_that_say_nothing_of_any_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no query has a relevant product"):
        catalogue.relevant_to(catalogue.load(written(tmp_path, "q1\ta\t0\n")))


@pytest.mark.parametrize(
    ("price", "number"), [('"12,50"', 12.5), ('"1.299,00"', 1299.0), ('"1 299.5"', 1299.5), ("12.5", 12.5)]
)
def test_a_price_is_a_number_in_any_usual_form(tmp_path: Path, price: str, number: float) -> None:
    directory = written(tmp_path, "")
    (directory / "docs.jsonl.gz").unlink()
    (directory / "docs.jsonl").write_text(f'{{"id": "a", "title": "x", "price": {price}, "stock": "3.0"}}\n')
    [product] = catalogue.load(directory).products
    assert (product.price, product.stock) == (number, 3)


def test_a_count_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    directory = written(tmp_path, "")
    (directory / "docs.jsonl.gz").unlink()
    (directory / "docs.jsonl").write_text('{"id": "a", "title": "x", "rating_count": "many"}\n')
    with pytest.raises(ConfigurationError, match=r"line 1: rating_count: .*many is no number"):
        catalogue.load(directory)
