"""`headrace evaluate --model`: the rows of a model alone, and beside another."""

import pytest

from services.lab.benchmarks import matrix
from services.lab.benchmarks.matrix import GRADES, rows
from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.evaluate import Cost, Evaluated


def comparison(measure: str, code: str = "384 float", *, on: str = GRADES) -> MetricComparison:
    return MetricComparison(
        evaluation_set=on,
        measure=measure,
        code=code,
        live=0.60,
        candidate=0.64,
        low=0.01,
        high=0.07,
        queries=150,
    )


def evaluation(**fields) -> Evaluated:
    costs = tuple(
        Cost(code=code, bytes=size, scan_ms=0.5, quality=0.6, overlap=0.9)
        for code, size in (("384 float", 1536.0), ("192 float", 768.0), ("384 int8", 384.0))
    )
    return Evaluated(
        **{
            "live": "0" * 16,
            "candidate": "1" * 16,
            "dimensions": 384,
            "products": 10,
            "compared": (
                comparison("nDCG@10"),
                comparison("R@10", "384 int8"),
                comparison("nDCG@10", on="everyday"),
            ),
            "costs": costs,
            "encode_ms": 7.5,
            **fields,
        }
    )


def by_name(*, alone: bool, costs: bool = False, **fields):
    return {row.name: row for row in rows(evaluation(**fields), alone=alone, costs=costs)}


def test_a_model_alone_has_its_own_figures() -> None:
    table = by_name(alone=True)
    row = table["nDCG@10 at 384 float"]
    assert (row.value, row.bound, row.interval, row.note) == (0.64, None, None, "150 queries")


def test_beside_another_it_has_the_paired_difference() -> None:
    row = by_name(alone=False)["nDCG@10 at 384 float"]
    assert (row.value, row.bound, row.interval) == (0.64, 0.60, (0.01, 0.07))
    assert row.note == "+0.0400 [+0.0100, +0.0700], 150 queries"


def test_figures_of_another_set_say_so() -> None:
    assert {"R@10 at 384 int8", "nDCG@10, everyday at 384 float"} <= by_name(alone=True).keys()


def test_every_figure_stands_beside_the_share_of_first_pages_that_was_shown() -> None:
    shown = (comparison("nDCG@10").model_copy(update={"shown": (0.98, 0.76)}),)
    row = by_name(alone=False, compared=shown)["shown@10 at 384 float"]
    assert (row.value, row.bound) == (0.76, 0.98)
    assert by_name(alone=True, compared=shown)["shown@10 at 384 float"].bound is None


def test_a_model_alone_has_no_bounds_of_a_difference() -> None:
    bounds = tuple(comparison(f"{way} nDCG@10") for way in ("pessimistic", "optimistic"))
    assert "pessimistic nDCG@10 at 384 float" in by_name(alone=False, compared=bounds)
    assert not [name for name in by_name(alone=True, compared=bounds) if "istic" in name]


def test_costs_are_rows_of_their_own_only_where_they_are_asked_for() -> None:
    assert "bytes at 384 int8" not in by_name(alone=True)
    table = by_name(alone=True, costs=True)
    assert (table["bytes at 384 int8"].value, table["scan at 384 int8"].unit) == (384, "ms")
    assert table["overlap@10 at 384 int8"].value == 0.9
    assert table["query to vector"].value == 7.5


@pytest.mark.parametrize(("name", "row"), [("threshold", "threshold"), ("dense_weight", "dense weight")])
def test_what_was_fitted_is_shown_where_it_was(name, row) -> None:
    assert row not in by_name(alone=True)
    assert by_name(alone=True, **{name: 0.4})[row].value == 0.4


def test_the_measure_of_the_plot_is_the_one_of_the_figures() -> None:
    assert matrix.MEASURE == "nDCG@10"
