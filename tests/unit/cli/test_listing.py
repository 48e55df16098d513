"""Rows at any width: an id is copied whole, and what is long stands below."""

from services.cli.listing import Listing
from services.lab.terminal import Terminal

LONG_ID = "manual-" + "7" * 90


def shown(listing, capsys, width=40):
    listing.show(Terminal(width=width), empty="nothing")
    return capsys.readouterr().out


def test_an_id_that_is_wider_than_the_terminal_is_neither_cut_nor_folded(capsys) -> None:
    listing = Listing("job", "status")
    listing.add(LONG_ID, "done")
    assert f"{LONG_ID}  done\n" in shown(listing, capsys)


def test_columns_are_aligned_and_a_long_note_is_below_its_row(capsys) -> None:
    listing = Listing("topic", "count", right=("count",))
    listing.add("a", "1", note="as many words as it takes to fill more than one line of it")
    listing.add("longer", "1000")
    first, row, *note, last = (line.rstrip() for line in shown(listing, capsys).splitlines())
    assert (first, row, last) == ("topic   count", "a           1", "longer   1000")
    assert len(note) > 1
    assert all(line.startswith("    ") and len(line) <= 40 for line in note)


def test_no_rows_are_said_in_words(capsys) -> None:
    assert shown(Listing("a", "b"), capsys) == "nothing\n"


def test_markup_and_what_moves_the_cursor_is_text(capsys) -> None:
    listing = Listing("query")
    listing.add("[bold]x[/bold]\x1b[2J", note="[red]y[/red]\x1b[2J")
    out = shown(listing, capsys)
    assert "[bold]x[/bold]" in out
    assert "[red]y[/red]" in out
    assert "\x1b" not in out
