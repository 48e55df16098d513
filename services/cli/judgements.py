"""`headrace judgements show | export | rebuild`."""

import asyncio
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.judgements import Judgement
    from services.judgements.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Show or export the relevance judgements.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Format(StrEnum):
    """How judgements are written down."""

    QRELS = "qrels"
    CSV = "csv"
    JSONL = "jsonl"


def _settings() -> "Settings":
    from services.judgements.settings import Settings  # noqa: PLC0415  lazy: see main
    from shared.infrastructure.running import discover  # noqa: PLC0415  lazy: see main

    return discover(Settings.load())


def _read(settings: "Settings") -> "list[Judgement]":
    from services.judgements.reading import read_judgements  # noqa: PLC0415  lazy: see main

    return asyncio.run(read_judgements(settings))


@app.command("show")
def show(
    query: Annotated[str, typer.Argument(help="The query, as shoppers type it.")],
    limit: Annotated[int, typer.Option("--limit", help="At most so many products.", min=1)] = 20,
    json_: Json = False,
) -> None:
    """Show what is known about the products of one query, best first."""
    from services.judgements.domain.query import normalise  # noqa: PLC0415  lazy: see main

    normal = normalise(query)
    found = [it for it in _read(_settings()) if it.query == normal][:limit]
    if json_:
        rows = [it.model_dump(mode="json") for it in found]
        print(json.dumps({"query": normal, "judgements": rows}))
    elif found:
        _print_table(normal, found)
    else:
        print(f"no judgements for {normal!r}: nothing was shown for it in the window, or not yet")


def _print_table(query: str, found: "list[Judgement]") -> None:
    from rich.console import Console  # noqa: PLC0415  lazy: see main
    from rich.markup import escape  # noqa: PLC0415  lazy: see main
    from rich.table import Table  # noqa: PLC0415  lazy: see main

    names = {"click": "clicks", "add_to_cart": "carts", "purchase": "purchases"}
    others = sorted({action for it in found for action, its in it.actions.items() if its.count} - set(names))
    span = f"{found[0].window_start} to {max(it.window_end for it in found)}"
    table = Table(
        title=escape(f"{query} ({span})"), title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    table.add_column("product")
    columns = [*names.values(), *(action.replace("_", " ") for action in others)]
    for column in ("shown", *columns, "shoppers", "clicks expected", "click rate", "value", "grade"):
        table.add_column(column, justify="right")
    for it in found:
        counts = [it.actions[action].count if action in it.actions else 0 for action in (*names, *others)]
        click = it.actions.get("click")
        rate = f"{click.rate:.2f} ({click.low:.2f}-{click.high:.2f})" if click else "-"
        figures = [it.impressions, *counts, it.shoppers]
        table.add_row(
            escape(it.product_id),
            *map(str, figures),
            f"{click.expected:.1f}" if click else "-",
            rate,
            f"{it.value:.2f}",
            f"{it.grade:.1f}",
        )
    Console().print(table)


@app.command("export")
def export(
    format_: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.QRELS,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; else standard output.")] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", help="For qrels: file of query ids and their queries.")
    ] = None,
) -> None:
    """Write all judgements: TREC qrels (grades rounded half up to 0..3), CSV, or JSON lines."""
    from services.judgements import reading  # noqa: PLC0415  lazy: see main

    found = _read(_settings())
    writers = {
        Format.QRELS: reading.qrels_lines,
        Format.CSV: reading.csv_lines,
        Format.JSONL: reading.json_lines,
    }
    text = "".join(f"{line}\n" for line in writers[format_](found))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
        print(f"{len(found)} judgements written to {out}", file=sys.stderr)
    if queries is not None:
        queries.write_text("".join(f"{line}\n" for line in reading.query_lines(found)), encoding="utf-8")


@app.command("rebuild")
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Join and count everything again from the topics: after Redis lost writes or came from a backup.

    Running workers stop within a second; started again (`headrace up` and containers do that), they
    rebuild. Judgements stay readable meanwhile, and change as the counts come in again.
    """
    from services.judgements.incarnation import begin_anew  # noqa: PLC0415  lazy: see main
    from shared.adapters.redis import connect  # noqa: PLC0415  lazy: see main
    from shared.clock import SystemClock  # noqa: PLC0415  lazy: see main

    settings = _settings()
    if not yes:
        typer.confirm("Forget all counts and rebuild them from the topics?", abort=True)
    incarnation = asyncio.run(begin_anew(connect(settings), settings.namespace, SystemClock()))
    print(f"incarnation {incarnation} has begun; the judgements workers rebuild when they start again")
