"""`headrace load`: what it shows, what it refuses, and what it exits with."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

TABLE = "sku;name;preis;gewicht\nA;Trail boot;12,50 EUR;500\nB;Ro\x1b[31mad boot;x;400\n;nobody;1;1\n"


@pytest.fixture
def table(tmp_path):
    (tmp_path / "shoes.csv").write_text(TABLE)
    return "shoes.csv"


def test_a_dry_run_shows_the_fields_and_what_is_wrong_with_which_line(headrace, table):
    done = headrace("load", table, "--dry-run", "--errors", "errors.jsonl")
    assert done.code == 3
    assert "title name 100% Trail boot, Ro\\x1b[31mad boot, nobody" in done.lines
    assert "price preis 100% price: 12,50 EUR, x, 1" in done.lines
    assert (
        "embedded: title, else name, else description; all other texts are words to search by" in done.lines
    )
    assert (
        "1 lines not loaded, 1 values left out or to be looked at: number.invalid 1, id.missing 1"
        in done.lines
    )
    assert any(line.startswith("line 3, preis: 'x' x is no number") for line in done.lines)
    assert "\x1b" not in done.out + done.err
    faults = [json.loads(line) for line in open("errors.jsonl")]  # noqa: SIM115, PTH123
    assert [(fault["file"], fault["line"], fault["reason"]) for fault in faults] == [
        ("shoes.csv", 3, "number.invalid"),
        ("shoes.csv", 4, "id.missing"),
    ]


def test_a_dry_run_as_json_has_what_the_table_has(headrace, table):
    report = headrace("load", table, "--dry-run", "--json").json
    assert (report["loaded"], report["lost"], report["flawed"]) == (2, 1, 1)
    [file] = report["files"]
    fields = {
        column["field"]: (column["column"], column["kind"], column["filled"]) for column in file["columns"]
    }
    assert fields["title"] == ("name", "text", 3)
    assert fields["price"] == ("preis", "price", 3)
    assert report["reasons"] == {"number.invalid": 1, "id.missing": 1}


def test_a_table_fits_the_terminal(headrace, table):
    lines = headrace("load", table, "--dry-run").out.splitlines()
    [start] = [place for place, line in enumerate(lines) if line.startswith("field ")]
    assert max(map(len, lines[start : start + 5])) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a FILE to load, or --queries FILE, or --events FILE"),
        (("none.csv",), "none.csv cannot be opened: No such file or directory"),
        (("shoes.csv", "--map", "title"), "--map title: write FIELD=COLUMN"),
        (("shoes.csv", "--decimal", ";"), "--decimal is . or ,"),
        (("shoes.csv", "--delimiter", "ab"), "--delimiter is one character"),
        (("shoes.csv", "--encoding", "klingon"), "there is no such encoding"),
        (("shoes.csv", "--source", "a", "--replace", "b"), "name two sources"),
        (("shoes.csv", "-"), "- is read alone"),
        (("shoes.csv", "--errors", "no/such/file"), "--errors no/such/file cannot be written: No such file"),
        (
            ("shoes.csv", "--id", "nope"),
            "there is no column 'nope': its columns are sku, name, preis, gewicht",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(headrace, table, arguments, words):
    done = headrace("load", *arguments, "--dry-run")
    assert (done.code, words in done.error) == (2, True), done.error


def test_without_a_broker_it_says_so_with_the_way_out(headrace, table):
    done = headrace("load", table)
    assert done.code == 1
    assert done.error.startswith("no broker answers at 127.0.0.1:")
    assert done.error.endswith("start one (`headrace up`), or set HEADRACE_KAFKA")


@pytest.fixture
def silent() -> Iterator[int]:
    """Take connections, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_broker_that_never_answers_is_none_after_seconds(headrace, table, silent, monkeypatch):
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{silent}")
    began = time.monotonic()
    assert "does not answer as a broker does" in headrace("load", table).error
    assert time.monotonic() - began < 30
