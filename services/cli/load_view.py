"""How `headrace load` shows a file, its progress and what is wrong with its lines."""

from collections.abc import Mapping, Sequence
from typing import IO

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from services.loader.delivery import LoadTally
from services.loader.domain.columns import FIRST, FieldMapping, Profile
from services.loader.domain.rows import LineFault, visible
from services.loader.resume import LoadState
from services.loader.survey import FileSurvey

SHOWN = 5
"""Faults of a load that are shown; `--errors` takes all of them."""
EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""
UNITS = 1000
"""Steps of the bar."""


class FaultList:
    """Counts faults by reason, keeps the first, and writes all of them to a file if there is one."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self.first: list[dict[str, object]] = []
        self.counts: dict[str, int] = {}
        self._file = file

    def add(self, name: str, faults: Sequence[LineFault]) -> None:
        """Take faults of the file of that name."""
        for fault in faults:
            self.counts[fault.reason] = self.counts.get(fault.reason, 0) + 1
            if len(self.first) < SHOWN or self._file is not None:
                content = {"file": name, **fault._asdict()}
                if len(self.first) < SHOWN:
                    self.first.append(content)
                if self._file is not None:
                    self._file.write(orjson.dumps(content) + b"\n")


class LoadView:
    """Shows a load on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, faults: FaultList, *, quiet: bool, texts: Sequence[str]) -> None:
        self._console = console
        self._faults = faults
        self._quiet = quiet
        self._texts = texts
        self.name = ""
        """The file that is read."""
        self._survey: FileSurvey | None = None
        self._bar: TaskID | None = None
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        shown = console.is_terminal and not quiet
        self.progress = Progress(*columns, console=console, disable=not shown, transient=True)
        self._lines = not shown and not quiet
        self._began = self._said = self.progress.get_time()

    def surveyed(self, survey: FileSurvey, reading: FieldMapping) -> None:
        """Show a catalogue that is about to be read."""
        if not self._quiet:
            show_file(self._console, survey, survey.profile, reading=reading, texts=self._texts)
        self._begin(survey)

    def opened(self, survey: FileSurvey, columns: Mapping[str, str]) -> None:
        """Show a log that is about to be read."""
        if not self._quiet:
            parts = ", ".join(f"{name} is {visible(column, 30)}" for name, column in columns.items()) or "UBI"
            self._console.print(Text(f"{survey.content.name}: {survey.file.description}; {parts}"))
        self._begin(survey)

    def _begin(self, survey: FileSurvey) -> None:
        self._survey, self.name = survey, survey.content.name
        if self._bar is not None:
            self.progress.remove_task(self._bar)
        total = None if survey.content.share is None else UNITS
        self._bar = self.progress.add_task(survey.content.name, total=total, rows="")

    def resumed(self, state: LoadState) -> None:
        """Say where a load goes on."""
        if not self._quiet:
            self._console.print(
                f"going on with a load that was stopped: {state.done:,} rows are acknowledged"
            )

    def faults(self, faults: Sequence[LineFault]) -> None:
        """Take what is wrong with lines."""
        self._faults.add(self.name, faults)

    def advanced(self, tally: LoadTally) -> None:
        """Move the bar, or say a line if it is time."""
        now = self.progress.get_time()
        rate = tally.units / (now - self._began) if now > self._began else 0.0
        share = self._share()
        if self._bar is not None:
            rows = f"{tally.units:,} rows, {rate:,.0f}/s"
            self.progress.update(self._bar, completed=int(share * UNITS), rows=rows)
        if self._lines and now - self._said >= EVERY:
            self._said = now
            left = f", {(now - self._began) * (1 - share) / share:,.0f} s left" if share else ""
            self._console.print(
                f"{self.name}: {share:.0%}, {tally.units:,} rows, {rate:,.0f}/s{left}", markup=False
            )

    def waiting(self, reason: str) -> None:
        """Say why nothing moves."""
        self._console.print(Text(f"waiting: {visible(reason, 300)}"))

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.progress.get_time() - self._began

    def _share(self) -> float:
        return (self._survey.content.share or 0.0) if self._survey else 0.0


def show_file(
    console: Console, survey: FileSurvey, profile: Profile, *, reading: FieldMapping, texts: Sequence[str]
) -> None:
    """Show which field each column becomes, how often it is filled, and what is in it."""
    console.print(Text.assemble((survey.content.name, "bold"), f": {survey.file.description}"))
    table = Table("field", "column", "filled", "for example", box=None, pad_edge=False)
    for narrow in table.columns[:3]:
        narrow.no_wrap = True
    table.columns[2].justify = "right"
    for field, column in rows_of(profile, reading):
        seen = profile.columns[column]
        kind = reading.columns[column].kind if column in reading.columns else "text"
        samples = ", ".join(seen.samples)
        table.add_row(
            Text(visible(field, 24), style="bold" if field in FIRST else ""),
            Text(visible(column, 24) if column != field else ""),
            f"{seen.filled / profile.rows:.0%}",
            Text(visible(samples if kind == "text" else f"{kind}: {samples}", 80)),
        )
    console.print(table, soft_wrap=False)
    embedded = ", else ".join(texts)
    console.print(Text(f"embedded: {embedded}; all other texts are words to search by", style="dim"))


def rows_of(profile: Profile, reading: FieldMapping) -> list[tuple[str, str]]:
    """Return (field, column), the fields that matter most first."""
    pairs = [
        (mapped.field, column) for column, mapped in reading.columns.items() if column in profile.columns
    ]
    pairs = [("id", reading.id_column), *(pair for pair in pairs if pair[1] != reading.id_column)]
    order = {name: place for place, name in enumerate(FIRST)}
    return sorted(pairs, key=lambda pair: order.get(pair[0], len(order)))


def show_faults(console: Console, faults: FaultList, tally: LoadTally) -> None:
    """Show how many there are of each kind, and the first."""
    if not faults.counts:
        return
    counts = ", ".join(f"{reason} {number:,}" for reason, number in faults.counts.items())
    console.print(
        f"{tally.lost:,} lines not loaded, {tally.flawed:,} values left out or to be looked at: {counts}"
    )
    for fault in faults.first:
        where = f"line {fault['line']:,}" + (f", {fault['column']}" if fault["column"] else "")
        value = f" {fault['value']!r}" if fault["value"] else ""
        console.print(Text(f"  {where}:{value} {fault['fix']} ({fault['reason']})"))
    more = sum(faults.counts.values()) - len(faults.first)
    if more > 0:
        console.print(f"  and {more:,} more; --errors FILE writes all of them")
