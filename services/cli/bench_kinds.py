"""`headrace bench kinds`: which way to find vectors pays at which size."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.bench_parts import Data, Json, bars, catalogue_of, show


def kinds(
    rows: Annotated[list[int] | None, typer.Option(help="Vectors; may be given again.", min=1000)] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw recall against latency into this file.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure the kinds of index of a shard's parts: recall, latency, filters and memory."""
    from services.lab.benchmarks import vector_kinds as measured  # noqa: PLC0415  lazy: see main
    from shared.extras import require  # noqa: PLC0415  likewise
    from shared.settings import Settings  # noqa: PLC0415  likewise

    if plot is not None:
        require("a plot", "matplotlib")
    sizes = rows or [10_000, 100_000]
    with bars() as progress:
        report_rows, points = measured.measure(
            catalogue_of(data), Settings.load().model, sizes, progress=progress
        )
    if plot is not None:
        measured.plot(points, plot)
    show("kinds", report_rows, as_json=json)
