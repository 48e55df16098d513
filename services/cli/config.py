"""`headrace config show`."""

import json
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Show the configuration and where each value comes from."
)
RULE = "search.port is set by HEADRACE_SEARCH__PORT, or by port = 8800 under [search] of headrace.toml"


@app.callback()
def config() -> None:
    """Show the configuration and where each value comes from."""


@app.command()
def show(
    worker: Annotated[str, typer.Argument(help="Only this section, such as `search`; absent: all.")] = "",
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not at its default.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="With the environment variable of each.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every setting; passwords and tokens are never printed."""
    from services.lab.configuration import rows  # noqa: PLC0415  lazy: see main

    chosen = [
        row
        for row in rows()
        if (not worker or row.name.startswith(f"{worker}.")) and not (changed and row.source == "default")
    ]
    if json_:
        print(json.dumps({row.name: {"value": row.value, "source": row.source} for row in chosen}))
        return
    from rich.table import Table  # noqa: PLC0415  lazy: see main
    from rich.text import Text  # noqa: PLC0415  lazy: see main

    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    table = Table(box=None, pad_edge=False, caption=None if wide else RULE, caption_justify="left")
    for column in ("setting", "value", "from", *(("variable",) if wide else ())):
        table.add_column(column, overflow="fold", no_wrap=column in {"setting", "variable"})
    for row in chosen:
        style = "dim" if row.source == "default" else ""
        cells = (row.name, Text(row.value), row.source, *((row.variable,) if wide else ()))
        table.add_row(*cells, style=style)
    Terminal().print(table)
