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

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show or export the relevance judgements.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


USUAL_ACTIONS = {"click": "clicks", "add_to_cart": "carts", "purchase": "purchases"}


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
    wide: Annotated[
        bool, typer.Option("--wide", help="With every action, shoppers, and the click rate's interval.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show what is known about the products of one query, best first."""
    from shared.catalogue.query_text import normalise  # noqa: PLC0415  lazy: see main

    normal = normalise(query)
    judgements = [judgement for judgement in _read(_settings()) if judgement.query == normal][:limit]
    if json_:
        rows = [judgement.model_dump(mode="json") for judgement in judgements]
        print(json.dumps({"query": normal, "judgements": rows}))
    elif judgements:
        _print_table(normal, judgements, wide=wide)
    else:
        print(f"no judgements for {normal!r}: nothing was shown for it in the window, or not yet")


def _print_table(query: str, judgements: "list[Judgement]", *, wide: bool) -> None:
    from rich.table import Table  # noqa: PLC0415  lazy: see main

    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    actions = _actions(judgements) if wide else USUAL_ACTIONS
    span = f"{judgements[0].window_start} to {max(judgement.window_end for judgement in judgements)}"
    table = Table(
        title=f"{query} ({span})", title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    table.add_column("product", overflow="fold")
    further = ("shoppers", "clicks expected") if wide else ()
    for column in ("shown", *actions.values(), *further, "click rate", "value", "grade"):
        table.add_column(column, justify="right")
    for judgement in judgements:
        table.add_row(judgement.product_id, *_cells(judgement, list(actions), wide=wide))
    Terminal().print(table)


def _actions(judgements: "list[Judgement]") -> dict[str, str]:
    """Return the actions that have a column, with its title: the usual ones, then others that happened."""
    happened = {
        name for judgement in judgements for name, action in judgement.actions.items() if action.count
    }
    others = sorted(happened - set(USUAL_ACTIONS))
    return USUAL_ACTIONS | {name: name.replace("_", " ") for name in others}


def _cells(judgement: "Judgement", actions: list[str], *, wide: bool) -> list[str]:
    click = judgement.actions.get("click")
    counts = [judgement.actions[name].count if name in judgement.actions else 0 for name in actions]
    further = (str(judgement.shoppers), f"{click.expected:.1f}" if click else "-") if wide else ()
    interval = f" ({click.low:.2f}-{click.high:.2f})" if click and wide else ""
    return [
        str(judgement.impressions),
        *map(str, counts),
        *further,
        f"{click.rate:.2f}{interval}" if click else "-",
        f"{judgement.value:.2f}",
        f"{judgement.grade:.1f}",
    ]


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

    judgements = _read(_settings())
    writers = {
        Format.QRELS: reading.qrels_lines,
        Format.CSV: reading.csv_lines,
        Format.JSONL: reading.json_lines,
    }
    text = "".join(f"{line}\n" for line in writers[format_](judgements))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
        print(f"{len(judgements)} judgements written to {out}", file=sys.stderr)
    if queries is not None:
        queries.write_text("".join(f"{line}\n" for line in reading.query_lines(judgements)), encoding="utf-8")


@app.command("rebuild")
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Join and count everything again from the topics: after Redis lost writes or came from a backup.

    Running workers stop within a second; started again (`headrace up` and containers do that), they
    rebuild. Judgements stay readable meanwhile, and change as the counts come in again.
    """
    from services.judgements.incarnation import begin_anew  # noqa: PLC0415  lazy: see main
    from shared.clock import SystemClock  # noqa: PLC0415  lazy: see main
    from shared.process.installation import enter  # noqa: PLC0415  lazy: see main
    from shared.state.redis import connect  # noqa: PLC0415  lazy: see main

    if not yes:
        typer.confirm("Forget all counts and rebuild them from the topics?", abort=True)
    settings = asyncio.run(enter(_settings()))
    incarnation = asyncio.run(begin_anew(connect(settings), settings.namespace, SystemClock()))
    print(f"incarnation {incarnation} has begun; the judgements workers rebuild when they start again")
