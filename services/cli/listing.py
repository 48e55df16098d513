"""Rows for people at any width: ids are never cut or folded, and what is long stands below its row."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

GAP = "  "
INDENT = 4


class Listing:
    """Columns of short texts, and of each row a note: sentences that may be as long as they like.

    A row that is wider than the terminal is wrapped by the terminal, so that it is copied as one line.
    """

    def __init__(self, *columns: str, right: Sequence[str] = ()) -> None:
        self._columns = columns
        self._right = [column in right for column in columns]
        self._rows: list[tuple[tuple[str, ...], str, str]] = []

    def add(self, *cells: str, note: str = "", style: str = "") -> None:
        """Add a row; empty notes take no line."""
        self._rows.append((cells, note, style))

    def show(self, console: Console, *, empty: str) -> None:
        """Print the rows below their titles, or what is said where there are none."""
        if not self._rows:
            console.print(empty)
            return
        lines = [self._columns, *(cells for cells, _, _ in self._rows)]
        widths = [max(len(line[number]) for line in lines) for number in range(len(self._columns))]
        _show_line(console, self._aligned(self._columns, widths), style="bold")
        for cells, note, style in self._rows:
            _show_line(console, self._aligned(cells, widths), style=style)
            if note:
                console.print(Padding(Text(note, style="dim"), (0, 0, 0, INDENT)))

    def _aligned(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, self._right, strict=True)
        ]
        return GAP.join(padded).rstrip()


def _show_line(console: Console, line: str, *, style: str) -> None:
    console.print(Text(line, style=style), soft_wrap=True)
