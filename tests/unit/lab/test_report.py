"""A report: the same rows as a table and as JSON, with the machine and the commit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.report import BenchReport, ReportRow, number, this_machine

ROWS = [
    ReportRow("documents", 109.4, "1/s", 156.0, "bound: our encoder alone"),
    ReportRow("recall@10", 0.991),
    ReportRow("nDCG@10", 0.643, bound=0.623, interval=(0.01, 0.03)),
    ReportRow("price changes p99", 12_345.6, "ms", 0.0),
]


def test_a_row_without_a_bound_has_neither_bound_nor_ratio() -> None:
    assert ROWS[1].json() == {"name": "recall@10", "value": 0.991, "unit": ""}
    assert ROWS[1].ratio is None


def test_a_row_with_a_bound_has_the_ratio_to_it() -> None:
    row = ROWS[0].json()
    assert (row["bound"], row["ratio"]) == (156.0, pytest.approx(109.4 / 156))
    assert "note" not in row, "notes are for people"


def test_a_bound_of_nothing_has_no_ratio() -> None:
    assert (ROWS[3].json()["bound"], ROWS[3].json()["ratio"]) == (0.0, None)


def test_a_paired_row_has_the_interval_of_its_difference() -> None:
    assert {"low": 0.01, "high": 0.03}.items() <= ROWS[2].json().items()


def test_a_report_as_json_is_one_object_with_machine_and_commit(capsys) -> None:
    BenchReport("ingest", ROWS, commit="abc", machine="here, 2 cores").show(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["commit"], shown["machine"]) == ("ingest", "abc", "here, 2 cores")
    assert shown["rows"] == [row.json() for row in ROWS]


@pytest.mark.parametrize("width", [80, 120])
def test_a_report_as_a_table_fits_the_terminal(capsys, monkeypatch, width) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    BenchReport("ingest", ROWS, commit="abc", machine="here, 2 cores").show(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any("here, 2 cores; commit abc" in line for line in lines)
    if width == 120:
        cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
        assert ["documents", "109.40", "1/s", "156", "0.70", "bound: our encoder alone"] in cells
        assert ["recall@10", "0.9910", "", "", "", ""] in cells


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (3.0, "3"),
        (0.12345, "0.1235"),
        (-0.5, "-0.5000"),
        (56.789, "56.79"),
        (1234.5, "1,234"),
        (2e6, "2,000,000"),
    ],
)
def test_a_number_has_the_digits_that_a_reader_can_use(value, shown) -> None:
    assert number(value) == shown


@given(st.floats(-1e9, 1e9))
def test_a_number_is_never_shown_far_from_what_it_is(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.006, abs=0.00006)


def test_the_machine_says_its_cores() -> None:
    assert this_machine().endswith(" cores")
