"""What the commands of `headrace bench` share: their options, bars and reports."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.infrastructure.ladder import Rung

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

    from services.lab.report import ReportRow
    from services.lab.simulation.catalogue import GradedCatalogue

Data = Annotated[
    Path | None,
    typer.Option(
        help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv; absent: the sample shop.", exists=True
    ),
]
Broker = Annotated[Rung | None, typer.Option(help="Where the broker comes from; absent: what is there.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
HELD = "all that was promised held"


def catalogue_of(data: Path | None) -> "GradedCatalogue":
    """Return the catalogue of a directory, else the sample shop's."""
    from services.lab.simulation import catalogue, shop  # noqa: PLC0415  lazy: see main

    return catalogue.load(data) if data else shop.sample()


def bars() -> "Progress":
    """Return progress bars on standard error, and send the log there too."""
    from services.cli.log_view import show_own_events  # noqa: PLC0415  lazy: see main
    from services.cli.progress import bars as bars_on  # noqa: PLC0415  lazy: see main
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    console = Terminal(stderr=True, highlight=False)
    show_own_events(lambda _: None)
    return bars_on(console)


def show(name: str, rows: "Sequence[ReportRow]", *, as_json: bool, verdict: "Sequence[str]" = ()) -> None:
    """Print the report: a table, or one JSON object."""
    from services.lab.report import BenchReport  # noqa: PLC0415  lazy: see main

    BenchReport(name, rows, verdict).show(as_json=as_json)
