"""Whether codes may answer: the recall test, its depth, its fallback, and the report."""

import numpy as np
import pytest

from services.shards.admission import CODED_ROWS, RecallReport, admit
from tests.unit.shards.vectors import clustered, normal, queries_near, scattered


@pytest.fixture(scope="module")
def vectors():
    return clustered(20_000, 64)[0]


def test_few_rows_are_scanned():
    for rows in (0, 1, CODED_ROWS - 1):
        codes, report = admit(scattered(rows, 32))
        assert codes is None
        assert (report.kind, report.rows, report.queries) == ("scan", rows, 0)


def test_vectors_of_few_dimensions_are_scanned():
    assert admit(scattered(CODED_ROWS, 8))[1].kind == "scan"


def test_the_smallest_depth_that_reaches_the_goal_is_kept(vectors):
    queries = queries_near(vectors, 60)
    depths = {goal: admit(vectors, queries, goal=goal)[1] for goal in (0.5, 0.9, 0.98, 0.999)}
    for goal, report in depths.items():
        assert report.kind == "codes"
        assert report.recall[report.depth] >= goal
        assert all(recall < goal for depth, recall in report.recall.items() if depth < report.depth)
        assert report.milliseconds.keys() == report.recall.keys()
    assert depths[0.5].depth < depths[0.999].depth


def test_queries_of_shoppers_are_asked_where_there_are_enough_else_rows_of_the_part(vectors):
    queries = queries_near(vectors, 60)
    assert admit(vectors, queries)[1].asked_by == "shoppers"
    assert admit(vectors, queries)[1].queries == 60
    assert admit(vectors, queries[:3])[1].asked_by == "rows"
    assert admit(vectors)[1].asked_by == "rows"


def test_the_same_rows_and_queries_are_admitted_alike(vectors):
    first, second = (admit(vectors)[1] for _ in range(2))
    assert (first.depth, first.probes, first.recall) == (second.depth, second.probes, second.recall)


def test_codes_that_can_not_tell_rows_apart_are_not_used():
    # Each part of a vector is nearly the same everywhere but in a few rows, which take all sixteen values.
    rng = np.random.default_rng(0)
    alike = scattered(1, 64).astype(np.float32) + 0.002 * rng.standard_normal((12_000, 64))
    alike[:1200] = rng.standard_normal((1200, 64))
    codes, report = admit(normal(alike), queries_near(normal(alike[1200:]), 60, away=0.05))
    assert codes is None
    assert report.kind == "scan"
    assert "not reached where it pays" in report.reason
    assert len(report.recall) > 2


def test_lists_that_do_not_reach_the_goal_give_way_to_codes(vectors):
    # In so few rows without any clusters a list is no neighbourhood: nearly all would have to be looked into.
    _, report = admit(scattered(20_000, 64), kind="lists")
    assert report.kind in {"lists", "codes"}
    assert report.recall[report.depth] >= 0.98


def test_a_report_comes_back_as_it_was(vectors):
    report = admit(vectors)[1]
    assert RecallReport.parse(report.json()) == report


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"kind": "graph", "rows": 1, "goal": 1, "reason": ""}']
)
def test_what_is_no_report_is_refused(content):
    with pytest.raises(ValueError, match="not a report"):
        RecallReport.parse(content)
