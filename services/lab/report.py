"""What `bench` and `evaluate` print: a table for people, or one JSON object with the same rows."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from services.lab.terminal import Terminal
from shared.version import code_version


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One figure; `bound` is what it is held against, `note` is for people only.

    `interval` bounds at 95 % the value's difference from its bound, where that was measured on pairs.
    """

    name: str
    value: float
    unit: str = ""
    bound: float | None = None
    note: str = ""
    interval: tuple[float, float] | None = None
    half_width: float | None = None
    """Of a mean, its 95 % half-width."""
    queries: int | None = None
    """How many it is of."""
    left_out: int | None = None
    """How many there are besides that it says nothing of."""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of its bound."""
        return self.value / self.bound if self.bound else None

    def json(self) -> dict[str, Any]:  # Any: JSON
        """Return the row; bound and ratio only where there is a bound."""
        held = {} if self.bound is None else {"bound": self.bound, "ratio": self.ratio}
        between = {} if self.interval is None else dict(zip(("low", "high"), self.interval, strict=True))
        if self.interval is not None and self.bound is not None:
            between["difference"] = self.value - self.bound
        known = {name: getattr(self, name) for name in ("half_width", "queries", "left_out")}
        counted = {name: value for name, value in known.items() if value is not None}
        return {"name": self.name, "value": self.value, "unit": self.unit, **held, **between, **counted}


def this_machine() -> str:
    """Return processor and cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.machine()}, {os.cpu_count()} cores"


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The figures of one run, with the machine and the commit they belong to."""

    name: str
    rows: Sequence[ReportRow]
    verdict: Sequence[str] = ()
    """What follows from the figures, a sentence each; empty: nothing is decided by them."""
    commit: str = field(default_factory=code_version)
    machine: str = field(default_factory=this_machine)

    def json(self) -> dict[str, Any]:  # Any: JSON
        """Return `{"name", "commit", "machine", "rows"}`, and `"verdict"` where there is one."""
        rows = [row.json() for row in self.rows]
        words = {"verdict": [*self.verdict]} if self.verdict else {}
        return {"name": self.name, "commit": self.commit, "machine": self.machine, "rows": rows, **words}

    def show(self, *, as_json: bool) -> None:
        """Print to standard output."""
        if as_json:
            print(orjson.dumps(self.json()).decode())
            return
        table = Table(title=self.name, caption=f"{self.machine}; commit {self.commit}", title_justify="left")
        table.add_column("")
        for column in ("value", "unit", "bound", "ratio"):
            table.add_column(column, justify="left" if column == "unit" else "right")
        table.add_column("note", style="dim")
        for row in self.rows:
            held = ("", "") if row.ratio is None else (number(row.bound or 0), f"{row.ratio:.2f}")
            table.add_row(row.name, number(row.value), row.unit, *held, row.note)
        console = Terminal(highlight=False)
        console.print(table)
        for sentence in self.verdict:
            console.print(sentence)


def number(value: float) -> str:
    """Return the number with as many digits as a reader can use."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
