"""What the audience sees, and the record of what was claimed and held."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text


class DemoConsole:
    """Headings, words, tables, progress bars, and claims: a claim that does not hold is remembered."""

    def __init__(self, rich_console: Console) -> None:
        self.rich = rich_console
        self.failures: list[str] = []
        self.figures: list[tuple[str, str]] = []
        self._scenes = 0

    def scene(self, title: str, what: str) -> None:
        """Begin a scene."""
        self._scenes += 1
        self.rich.print()
        self.rich.rule(Text(f"{self._scenes}  {title}", style="bold"), align="left", style="blue")
        self.say(what)

    def say(self, text: str) -> None:
        """Explain, quietly."""
        self.rich.print(text, style="dim", highlight=False)

    def claim(self, text: str, *, holds: bool) -> None:
        """State what was just shown; what does not hold is shown in red and fails the demo."""
        mark = ("✓ ", "bold green") if holds else ("✗ not shown: ", "bold red")
        self.rich.print(Text.assemble(mark, text), highlight=False)
        if not holds:
            self.failures.append(text)

    def cut(self, text: str, *, beside: int) -> str:
        """Return as much of the text as a table has room for that is `beside` wide without it."""
        room = max(12, min(64, self.rich.width - beside))
        return text if len(text) <= room else text[: room - 1] + "…"

    def figure(self, name: str, value: str) -> None:
        """Keep a figure for the closing summary."""
        self.figures.append((name, value))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
        """Show a table."""
        self.rich.print(table(columns, rows, title=title))

    def close(self, hints: Sequence[str], addresses: Mapping[str, str]) -> None:
        """Sum up, and say what to try next and where everything is."""
        self.scene("What you saw", "All of it through the topics and the search API, as your programs would.")
        self.rich.print(table(("figure", "value"), self.figures))
        self.claim(f"every scene showed what it says ({len(self.failures)} did not)", holds=not self.failures)
        self.rich.print("\nTry it, in another terminal, in this directory:", style="bold")
        for hint in hints:
            self.rich.print("  " + hint, style="green", highlight=False, soft_wrap=True, markup=False)
        for name, address in addresses.items():
            self.say(f"  {name:11} {address}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show progress bars until the block ends."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.rich) as bars:
            yield bars


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> Table:
    """Return a plain table; numbers are set right."""
    drawn = Table(title=title or None, title_justify="left", title_style="italic", box=None, pad_edge=False)
    cells = [[_cell(value) for value in row] for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(rows) and isinstance(rows[0][number], int | float)
        drawn.add_column(column, justify="right" if numeric else "left", header_style="bold", no_wrap=True)
    for row in cells:
        drawn.add_row(*row)
    return drawn


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
