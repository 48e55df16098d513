"""`headrace evaluate`: the measures of each mode, from the answers of a search."""

from collections.abc import Sequence

import pytest
import stamina
from rich.progress import Progress

from services.lab.benchmarks import search_quality
from services.lab.benchmarks.search_quality import GOAL, MEASURES, MODES, judge, rows
from services.lab.simulation.catalogue import GradedCatalogue, ShopProduct, ShopQuery
from services.lab.simulation.grading import read_gains
from shared.errors import TransientError
from tests.unit.lab.answers import search_answer

SHOP = GradedCatalogue(
    tuple(ShopProduct(id=name, title=name) for name in "abcd"),
    (ShopQuery("q1", "lamp"), ShopQuery("q2", "sofa")),
    {"q1": {"a": 3, "b": 2}, "q2": {"c": 3}},
)
PERFECT = {"q1": ["a", "b", "c"], "q2": ["c", "d"]}


def by_name(ranked: dict[str, Sequence[str]], mode: str = "hybrid"):
    return {row.name: row for row in rows(SHOP, mode, ranked, [0.010, 0.030, 0.020])}


def test_the_right_products_first_are_perfect() -> None:
    table = by_name(PERFECT)
    assert table["nDCG@10"].value == table["hybrid nDCG@10"].value == pytest.approx(1)
    assert table["hybrid R@10"].value == pytest.approx(1)
    assert table["hybrid RR@10"].value == pytest.approx(1)


def test_the_headline_is_that_of_hybrid_search_beside_its_goal() -> None:
    table = by_name(PERFECT)
    assert (next(iter(table)), table["nDCG@10"].bound) == ("nDCG@10", GOAL)
    assert "nDCG@10" not in by_name(PERFECT, "dense")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_every_measure_and_its_middle_time(mode) -> None:
    table = by_name(PERFECT, mode)
    assert {f"{mode} {measure}" for measure in MEASURES} <= table.keys()
    assert (table[f"{mode} search p50"].value, table[f"{mode} search p50"].unit) == (pytest.approx(20), "ms")


def test_a_worse_ranking_is_worse() -> None:
    worse = by_name({"q1": ["d", "c", "b", "a"], "q2": ["d", "c"]})
    assert worse["nDCG@10"].value < by_name(PERFECT)["nDCG@10"].value
    assert worse["hybrid RR@10"].value < 1
    assert worse["hybrid judged@10"].value < 1


def test_nothing_found_is_worth_nothing() -> None:
    assert by_name({"q1": [], "q2": []})["nDCG@10"].value == 0


class Search:
    """A search API that answers from a table, at first not in full."""

    def __init__(self, partial: int = 0) -> None:
        self.partial, self.asked = partial, []

    def search(self, text: str, **options):
        self.asked.append({"text": text, **options})
        self.partial -= 1
        query = next(query for query in SHOP.queries if query.text == text)
        return search_answer(PERFECT[query.id], missing="it is being moved" if self.partial >= 0 else "")


@pytest.fixture(autouse=True)
def _no_pauses():
    stamina.set_testing(True, attempts=search_quality.ATTEMPTS)
    yield
    stamina.set_testing(False)


def test_every_query_is_asked_in_its_mode_without_leaving_a_trace() -> None:
    search = Search()
    table = {row.name: row for row in judge(search, SHOP, "hybrid", Progress(disable=True))}  # type: ignore[arg-type]  it answers as one
    assert table["nDCG@10"].value == pytest.approx(1)
    assert [body["text"] for body in search.asked] == ["lamp", "sofa"]
    assert all(body["mode"] == "hybrid" and body["log"] is False for body in search.asked)


def test_an_incomplete_answer_is_asked_for_again() -> None:
    search = Search(partial=2)
    judge(search, SHOP, "dense", Progress(disable=True))  # type: ignore[arg-type]
    assert [body["text"] for body in search.asked] == ["lamp", "lamp", "lamp", "sofa"]


def test_an_index_that_never_answers_in_full_is_an_error_with_the_shard_s_reason() -> None:
    with pytest.raises(TransientError, match="does not answer in full: it is being moved"):
        judge(Search(partial=99), SHOP, "dense", Progress(disable=True))  # type: ignore[arg-type]


def test_a_query_without_a_relevant_product_is_left_out_and_counted() -> None:
    shop = GradedCatalogue(
        SHOP.products,
        (*SHOP.queries, ShopQuery("q3", "bed"), ShopQuery("q4", "sink")),
        {**SHOP.grades, "q3": {"d": 0}, "q4": {"d": 1}},
    )
    table = {row.name: row for row in rows(shop, "dense", {**PERFECT, "q4": ["d"]}, [0.01])}
    ndcg, recall, judged = (table[f"dense {name}"] for name in ("nDCG@10", "R@10", "judged@10"))
    assert (ndcg.value, ndcg.queries, ndcg.left_out) == (pytest.approx(1), 3, 1)
    assert (recall.value, recall.queries, recall.left_out) == (pytest.approx(1), 2, 2)
    assert (judged.queries, judged.left_out) == (4, 0)
    assert "1 without a relevant product left out" in ndcg.note


def test_json_has_what_the_table_says() -> None:
    row = by_name(PERFECT)["hybrid nDCG@10"]
    assert row.json() == {
        "name": "hybrid nDCG@10",
        "value": row.value,
        "unit": "",
        "half_width": 0,
        "queries": 2,
        "left_out": 0,
    }


def test_gains_decide_what_a_substitute_is_worth() -> None:
    ranked = {"q1": ["b", "a"], "q2": ["c"]}
    values = {}
    for name in ("esci", "exp2", "linear"):
        table = {row.name: row for row in rows(SHOP, "hybrid", ranked, [0.01], gains=read_gains(name))}
        values[name] = table["hybrid nDCG@10"].value
        assert ("nDCG@10" in table) is (name == "esci")  # the goal is one of these gains
    assert values["esci"] < values["exp2"] < values["linear"] < 1
