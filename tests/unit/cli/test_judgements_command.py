"""`headrace judgements show | export`: what is shown of a judgement, and in which forms it is written."""

import csv
import io
import json
import sys
from datetime import UTC, date, datetime

import pytest

from schemas.judgements import ActionStatistics, Judgement
from services.cli import judgements

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def judgement(product_id: str, *, query: str = "trail shoe", grade: float = 2.4, **actions: int) -> Judgement:
    return Judgement(
        query=query,
        product_id=product_id,
        window_start=date(2026, 10, 22),
        window_end=date(2026, 11, 20),
        impressions=51,
        shoppers=9,
        actions={
            name: ActionStatistics(count=count, expected=4.2, rate=1.806, low=0.907, high=3.008)
            for name, count in actions.items()
        },
        value=1.806,
        grade=grade,
        updated_at=NOON,
    )


JUDGED = [
    judgement("SHOE-1", click=9, add_to_cart=3, store_visit=1),
    judgement("SHOE-2", grade=0.5),
    judgement("SOFA", query="sofa", click=2),
]


@pytest.fixture
def published(headrace, monkeypatch):
    monkeypatch.setattr(judgements, "_read", lambda _: JUDGED)
    monkeypatch.setenv("COLUMNS", "160")
    return headrace


def test_the_judgements_of_a_query_are_a_table_that_fits_a_terminal(published, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = published("judgements", "show", "  Trail  SHOE ")
    assert done.fits()
    assert done.lines[1] == "product shown clicks carts purchases click rate value grade"
    assert done.lines[2] == "SHOE-1 51 9 3 0 1.81 1.81 2.4"


def test_wide_it_has_a_column_for_every_action(published) -> None:
    lines = published("judgements", "show", "  Trail  SHOE ", "--wide").lines
    assert lines[0] == "trail shoe (2026-10-22 to 2026-11-20)"
    columns = "shown clicks carts purchases store visit shoppers clicks expected click rate value grade"
    assert lines[1] == f"product {columns}"
    assert lines[2] == "SHOE-1 51 9 3 0 1 9 4.2 1.81 (0.91-3.01) 1.81 2.4"
    assert lines[3] == "SHOE-2 51 0 0 0 0 9 - - 1.81 0.5"
    assert len(lines) == 4


def test_a_limit_is_kept_and_the_order_is_the_one_read(published) -> None:
    shown = published("judgements", "show", "trail shoe", "--limit", "1", "--json").json
    assert (shown["query"], len(shown["judgements"])) == ("trail shoe", 1)
    assert Judgement.model_validate(shown["judgements"][0]) == JUDGED[0]


def test_of_a_query_that_nobody_asked_it_is_said(published) -> None:
    done = published("judgements", "show", "lamp")
    assert (done.code, done.out.startswith("no judgements for 'lamp'")) == (0, True)
    assert published("judgements", "show", "lamp", "--json").json == {"query": "lamp", "judgements": []}


def test_qrels_go_to_standard_output_with_whole_grades(published) -> None:
    lines = published("judgements", "export").out.splitlines()
    assert len(lines) == len(JUDGED)
    assert all(len(line.split()) == 4 for line in lines)
    assert {line.split()[2]: line.split()[3] for line in lines} == {"SHOE-1": "2", "SHOE-2": "1", "SOFA": "2"}


def test_the_ids_of_the_queries_go_to_a_file_of_their_own(published, tmp_path) -> None:
    done = published("judgements", "export", "--out", "qrels", "--queries", "queries.tsv")
    assert done.out == ""
    assert done.err == "3 judgements written to qrels\n"
    ids = dict(line.split("\t") for line in (tmp_path / "queries.tsv").read_text().splitlines())
    assert set(ids.values()) == {"trail shoe", "sofa"}
    assert {line.split()[0] for line in (tmp_path / "qrels").read_text().splitlines()} == set(ids)


def test_csv_and_json_lines_have_every_judgement(published) -> None:
    rows = published("judgements", "export", "--format", "csv").out.splitlines()
    assert len(rows) == 1 + len(JUDGED)
    assert "query" in rows[0]
    lines = published("judgements", "export", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["product_id"] for line in lines] == ["SHOE-1", "SHOE-2", "SOFA"]


def test_a_form_that_there_is_not_is_answered_with_those_that_there_are(headrace) -> None:
    done = headrace("judgements", "export", "--format", "xml")
    assert done.code == 2
    assert all(form in done.usage for form in ("qrels", "csv", "jsonl"))


def test_nothing_is_rebuilt_unless_it_was_confirmed(headrace, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    done = headrace("judgements", "rebuild")
    assert done.code == 1
    assert "Forget all counts" in done.out + done.err


def test_no_cell_of_a_csv_is_a_formula(headrace, monkeypatch) -> None:
    hostile = judgement("@SUM(A1)", query='=HYPERLINK("http://evil.example")')
    monkeypatch.setattr(judgements, "_read", lambda _: [hostile])
    [_, row] = csv.reader(headrace("judgements", "export", "--format", "csv").out.splitlines())
    assert row[:2] == ['\'=HYPERLINK("http://evil.example")', "'@SUM(A1)"]
