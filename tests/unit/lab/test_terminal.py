"""What others wrote is shown on a terminal, and never obeyed by it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from services.lab.printable import OBEYED, printable
from services.lab.terminal import Terminal

HOSTILE = "shoe\x1b[31m\x1b]0;renamed\x9b2J\u202eevil [bold]x[/] [/nothing] :bomb:"
SHOWN = r"shoe\x1b[31m\x1b]0;renamed\x9b2J\u202eevil [bold]x[/] [/nothing] :bomb:"


def printed(renderable, **options) -> str:
    written = io.StringIO()
    Terminal(file=written, width=200, **options).print(renderable)
    return written.getvalue()


def table() -> Table:
    rows = Table("title", title=HOSTILE, caption=HOSTILE)
    rows.add_row(HOSTILE)
    return rows


@pytest.mark.parametrize("renderable", [HOSTILE, Text(HOSTILE), table()])
def test_nothing_of_it_is_obeyed_and_all_of_it_is_shown(renderable) -> None:
    shown = printed(renderable)
    assert not {*map(ord, shown)} & {*OBEYED}
    assert SHOWN in shown


def test_our_own_colours_stay() -> None:
    assert "\x1b[31m" in printed(Text("red", style="red"), force_terminal=True, color_system="standard")


def test_the_text_of_a_progress_bar_is_no_exception() -> None:
    written = io.StringIO()
    with Progress(TextColumn("{task.description}", markup=False), console=Terminal(file=written)) as bars:
        bars.add_task(HOSTILE)
    assert not {*map(ord, written.getvalue())} & {*OBEYED}


@given(st.text())
def test_a_printable_text_stays_as_it_is(text) -> None:
    once = printable(text)
    assert printable(once) == once
    assert once.isprintable() or once == text or not {*map(ord, once)} & {*OBEYED}
