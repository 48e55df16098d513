"""Options that several commands have, each in one form."""

from typing import Any

import typer

from shared.durations import FORMS, read_duration

HIGHEST_GRADE: Any = typer.Option(  # Any: typer's own
    "--highest-grade",
    help="The best grade of --data: 0 to it is scaled to 0 to 3; absent: grades are whole, 0 to 3.",
    min=1,
)


def duration(*names: str, help_: str) -> Any:  # Any: typer's own
    """Return an option that is a span of time in any of the usual forms."""
    return typer.Option(*names, parser=read_duration, metavar="DURATION", help=f"{help_} ({FORMS})")
