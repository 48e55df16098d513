"""CSV and TSV by the standard library's reader, which alone says on which line a row begins.

A quote that is never closed takes the rest of the file with it, in every reader. Here a row that cannot be
read costs its first line: reading goes on behind that.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from services.loader.domain.rows import FileRow, FileUnits, LineFault, visible

LONGEST_ROW = 1024 * 1024
"""Characters; four times what a message may have."""
DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 200
QUOTES = 'double quotes within a quoted value ("5"" pipe"), and close every quote'

csv.field_size_limit(LONGEST_ROW)


class DelimitedDialect(NamedTuple):
    """How values are told apart."""

    delimiter: str
    quoted: bool = True
    """False: a quote is a character like any other, as some write tab-separated files."""


class Table(NamedTuple):
    """The columns of a file by name, and their rows."""

    columns: tuple[str, ...]
    rows: FileUnits


def dialect_of(head: str, said: str = "") -> DelimitedDialect:
    """Return the delimiter that gives the most columns in the most rows alike, and whether quotes count."""
    candidates = (said,) if said else DELIMITERS
    lines = head.splitlines(keepends=True)[:SAMPLE]
    delimiter = max(candidates, key=lambda candidate: _agreement(lines, candidate))
    quoted = delimiter != "\t" or not any(
        isinstance(row, LineFault) for _, row in _records(lines, DelimitedDialect(delimiter))
    )
    return DelimitedDialect(delimiter, quoted)


def read_table(lines: Iterable[str], dialect: DelimitedDialect) -> Table:
    """Read the names of the columns; the rows follow as they are asked for.

    Columns without a name are called by their number, and those whose name is taken as well.
    """
    records = _records(lines, dialect)
    header = next((cells for _, cells in records if not isinstance(cells, LineFault)), ())
    names: dict[str, None] = {}
    for number, cell in enumerate(header, 1):
        name = " ".join(cell.split())
        name = name if name and name not in names else f"{name or 'column'} {number}".strip()
        names[name] = None
    columns = tuple(names)
    return Table(columns, _rows(records, columns))


def _rows(records: Iterator[tuple[int, "Sequence[str] | LineFault"]], columns: Sequence[str]) -> FileUnits:
    width = len(columns)
    for line, cells in records:
        if isinstance(cells, LineFault):
            yield cells
        elif len(cells) > width:
            yield LineFault(
                line,
                "row.too_wide",
                f"{len(cells)} values for {width} columns: quote a value that has the delimiter in it",
                value=visible(cells[width]),
            )
        else:
            yield FileRow(line, dict(zip(columns, cells, strict=False)))
            if len(cells) < width:
                text = f"{len(cells)} values for {width} columns: those that are not there are empty"
                yield LineFault(line, "row.too_narrow", text, column=visible(columns[len(cells)]), lost=False)


def _records(
    lines: Iterable[str], dialect: DelimitedDialect
) -> Iterator[tuple[int, Sequence[str] | LineFault]]:
    """Yield the line that each row begins on, with its values or with why it has none; no empty rows."""
    feed = _Feed(lines)
    reader = csv.reader(
        feed,
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        feed.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                feed.first,
                LineFault(feed.first, "row.unreadable", f"{error}: {QUOTES}", value=feed.start()),
            )
            feed.go_on_behind_first()
            continue
        if cells and (len(cells) > 1 or cells[0].strip()):
            yield feed.first, cells


class _Feed:
    """Lines for the reader, which remembers those of the row that it is at."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.first = 1
        self._number = 0
        self._size = 0
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self._row: list[str] = []

    def begin(self) -> None:
        self.first, self._size = self._number + 1, 0
        self._row.clear()

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._number += 1
        self._row.append(line)
        self._size += len(line)
        if self._size > LONGEST_ROW:
            raise csv.Error(f"a row of more than {LONGEST_ROW:,} characters")
        return line

    def start(self) -> str:
        return visible(self._row[0].strip()) if self._row else ""

    def go_on_behind_first(self) -> None:
        self._again.extendleft(reversed(self._row[1:]))
        self._number = self.first


def _agreement(lines: Sequence[str], delimiter: str) -> tuple[bool, float, int]:
    """Return whether there are columns at all, how many rows have as many as the first, and how many."""
    widths = [
        0 if isinstance(cells, LineFault) else len(cells)
        for _, cells in _records(lines, DelimitedDialect(delimiter))
    ]
    if not widths or widths[0] < 2:
        return False, 0.0, 0
    return True, round(widths.count(widths[0]) / len(widths), 1), widths[0]
