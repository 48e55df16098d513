"""`headrace verify`: how differences, notes and balances are shown."""

import json

import pytest

from services.cli.verify import SHOWN, _show
from services.lab.verification.conservation import Balance
from services.lab.verification.verdict import VerificationResult

EVEN = Balance("embedder", "catalogue.changes.v1", 9, 5, 1, 3)
UNEVEN = Balance("shards", "index.records.g1", 9, 5, 0, 3)
FIGURES = {"changes": 12_000, "products": 8}


@pytest.fixture
def shown(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    def show(*differences: str, notes: tuple[str, ...] = (), as_json: bool = False, balances=(EVEN,)) -> str:
        _show("index", VerificationResult(differences, FIGURES, notes), list(balances), json_=as_json)
        return capsys.readouterr().out

    return show


def test_no_difference_is_said_with_what_was_compared(shown) -> None:
    lines = shown().splitlines()
    assert lines[-1] == "index: no difference; 12,000 changes, 8 products"
    assert (
        lines[0] == "embedder, catalogue.changes.v1: 9 read = 5 applied + 1 without effect + 3 dead-lettered"
    )


def test_each_difference_is_a_line_and_they_are_counted(shown) -> None:
    lines = shown("product p: price is 3, its changes say 4").splitlines()
    assert lines[0] == "product p: price is 3, its changes say 4"
    assert lines[-1].startswith("index: 1 difference; ")
    assert shown("a", "b").splitlines()[-1].startswith("index: 2 differences; ")


def test_of_many_differences_the_first_are_shown_and_the_rest_counted(shown) -> None:
    lines = shown(*(f"difference {number}" for number in range(SHOWN + 1005))).splitlines()
    assert lines[SHOWN - 1] == f"difference {SHOWN - 1}"
    assert lines[SHOWN] == "... and 1,005 more"


def test_notes_and_uneven_balances_are_no_differences(shown) -> None:
    text = shown(notes=("3 dead letters were written again after a kill",), balances=(UNEVEN,))
    assert "3 dead letters were written again after a kill" in text
    assert "9 read ≠ 5 applied" in text
    assert "no difference" in text


def test_markup_in_a_product_is_shown_as_it_is(shown) -> None:
    assert "[red]x[/red]" in shown('product p: title is "[red]x[/red]", its changes say "y"')


def test_as_json_it_is_one_object_with_the_balances(shown) -> None:
    report = json.loads(shown("a", notes=("n",), as_json=True, balances=(EVEN, UNEVEN)))
    keys = {"name", "equal", "differences", "difference_count", "figures", "notes", "conservation"}
    assert set(report) == keys
    assert (report["name"], report["equal"], report["difference_count"]) == ("verify index", False, 1)
    assert [balance["even"] for balance in report["conservation"]] == [True, False]


def test_as_json_too_the_differences_are_cut_and_counted(shown) -> None:
    report = json.loads(shown(*("d" for _ in range(SHOWN + 5)), as_json=True))
    assert (len(report["differences"]), report["difference_count"]) == (SHOWN, SHOWN + 5)


@pytest.mark.parametrize("what", ["index", "judgements"])
def test_a_wait_is_not_negative(headrace, what) -> None:
    done = headrace("verify", what, "--wait", "-1")
    assert done.code == 2
    assert "--wait" in done.usage


def test_without_a_broker_judgements_cannot_be_verified(headrace) -> None:
    done = headrace("verify", "judgements", "--wait", "0")
    assert done.code == 1
    assert done.error.startswith("no broker answers at 127.0.0.1:")
