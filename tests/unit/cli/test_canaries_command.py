"""`headrace canaries`: what is refused before it is published, and what a run shows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.judgements import Canary
from services.cli.canaries import CanaryRow, _report, _some, canary_listing
from services.monitor.search_probe import CanaryAnswer, SearchFailedError


def canary(
    canary_id: str = "c-1", *, minimum: float | None = None, products=("a", "b"), k: int = 10
) -> Canary:
    return Canary(canary_id=canary_id, query="trail shoe", product_ids=products, k=k, minimum_recall=minimum)


def row(*ranked: str, partial: bool = False, **fields) -> CanaryRow:
    return CanaryRow(canary(**fields), CanaryAnswer(ranked, partial=partial))


@pytest.mark.parametrize(
    ("found", "minimum", "verdict"),
    [
        (row("a", "b"), None, "fine"),
        (row("x", "a"), None, "fine"),
        (row("x", "y"), None, "below"),
        (row("a", minimum=0.5), 0.5, "fine"),
        (row("a", minimum=0.6), 0.6, "below"),
        (row("a", "b", minimum=1.0, partial=True), 1.0, "fine, partial answer"),
        (CanaryRow(canary(), SearchFailedError("too busy")), None, "failed"),
        (CanaryRow(canary(minimum=0.0), SearchFailedError("too busy")), 0.0, "failed"),
    ],
)
def test_a_canary_is_fine_when_it_reaches_its_minimum_or_without_one_finds_anything(
    found: CanaryRow, minimum, verdict
) -> None:
    assert found.verdict == verdict
    assert found.fine is verdict.startswith("fine")
    assert found.as_json()["minimum_recall"] == minimum


@given(ranked=st.lists(st.sampled_from("abcdef"), unique=True), k=st.integers(1, 6))
def test_recall_counts_the_first_k_and_the_rank_is_that_of_the_first_hit(ranked, k) -> None:
    shown = row(*ranked, k=k).as_json()
    hits = [product for product in ranked[:k] if product in "ab"]
    assert shown["recall"] == len(hits) / 2
    assert set(shown["missing"]) == {"a", "b"} - set(hits)
    assert shown["reciprocal_rank"] == (1 / (ranked.index(hits[0]) + 1) if hits else 0.0)


def test_a_row_as_json_has_its_keys() -> None:
    assert set(row("a").as_json()) == {
        "canary_id",
        "query",
        "k",
        "recall",
        "reciprocal_rank",
        "missing",
        "minimum_recall",
        "fine",
        "partial",
        "failure",
    }


def test_the_sum_leaves_out_what_could_not_be_asked(capsys) -> None:
    rows = [row("a", "b"), row("x"), CanaryRow(canary("c-3"), SearchFailedError("too busy"))]
    _report(rows, json_=True)
    whole = json.loads(capsys.readouterr().out)
    assert (whole["recall"], whole["reciprocal_rank"]) == (0.5, 0.5)
    assert [each["failure"] for each in whole["canaries"]] == ["", "", "too busy"]


def test_a_run_as_a_table_fits_and_is_summed_up(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _report([row("a"), CanaryRow(canary("c-3"), SearchFailedError("too busy"))], json_=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [" ".join(line.split()) for line in lines] == [
        "id recall@k rr verdict query",
        "c-1 0.50 @10 1.00 fine trail shoe",
        "missing b",
        "c-3 - - failed trail shoe",
        "too busy",
        "2 canaries: mean recall 0.500, mean rr 1.000, 1 below or failed",
    ]


def test_markup_in_a_query_is_shown_as_it_is(capsys) -> None:
    strange = Canary(canary_id="c-1", query="[bold]shoe[/bold]", product_ids=("a",))
    listing = canary_listing([CanaryRow(strange, CanaryAnswer(("a",), partial=False))])
    listing.show(Console(width=80), empty="")
    assert "[bold]shoe[/bold]" in capsys.readouterr().out


def test_of_many_products_the_first_few_are_named() -> None:
    assert _some([]) == ""
    assert _some(["a", "b"]) == "a b"
    assert _some(list("abcdefgh")) == "a b c d e and 3 more"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("shoe", "a", "b", "--k", "1", "--minimum-recall", "0.9"), "raise --k, or lower --minimum-recall"),
        (("  ", "a"), "the query is blank"),
        (("shoe", "a\nb"), "product_ids.0"),
        (("shoe", "a", "--id", "no spaces"), "canary_id"),
    ],
)
def test_what_is_no_canary_is_refused_before_anything_is_published(headrace, arguments, complaint) -> None:
    done = headrace("canaries", "add", *arguments)
    assert done.code == 2
    assert complaint in done.error


@pytest.mark.parametrize("k", ["0", "1001"])
def test_how_far_down_the_answer_counts_has_bounds(headrace, k) -> None:
    done = headrace("canaries", "add", "shoe", "a", "--k", k)
    assert done.code == 2
    assert "--k" in done.usage


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("shoe\tA\nboot\n", ":2: expected `query TAB product`, or JSON on every line"),
        ('{"canary_id": "c"}\n', ":1: "),
        ('{"canary_id": "c", "query": "q", "product_ids": ["p"]}\nshoe\n', ":1: expected"),
    ],
)
def test_a_file_is_refused_with_the_line_that_is_wrong(headrace, tmp_path, content, complaint) -> None:
    (tmp_path / "canaries.txt").write_text(content)
    done = headrace("canaries", "import", "canaries.txt")
    assert done.code == 2
    assert complaint in done.error


def test_a_file_that_is_not_there_is_named(headrace) -> None:
    done = headrace("canaries", "import", "missing.tsv")
    assert done.code == 2
    assert done.error.startswith("cannot read missing.tsv: ")
